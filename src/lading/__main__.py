"""`python -m lading` is the command `lading`."""

from lading.cli.app import main

if __name__ == "__main__":
    main()
