"""Pure: model server programs, their parameters, rules and command lines."""
