"""A laptop and an image of different major versions: one refusal, with its remedy, and no second attempt."""

import pytest

from lading.errors import LadingError
from lading.manifests import ours

pytestmark = pytest.mark.real("cluster")


async def test_a_command_of_another_major_version_is_refused_at_once(namespace, pulls):
    claim = namespace.claim()
    document = pulls.document(pulls.offer("m"), "m")
    container = document["spec"]["template"]["spec"]["containers"][0]
    told = next(one for one in container["env"] if one["name"] == ours.COMMAND_VARIABLE)
    told["value"] = told["value"].replace("command.v1", "command.v9")
    with pytest.raises(LadingError, match=r"command\.v9.*command\.v1") as caught:
        await pulls.pull(document)
    assert "lading images" in caught.value.hint
    assert len(pulls.pods()) <= 1
    assert list(claim.path.iterdir()) == [], "the volume was not touched"
