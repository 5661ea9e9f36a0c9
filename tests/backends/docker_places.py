"""Places for the docker backend: the real daemon, the engine image, real llama.cpp servers of a tiny model."""

from pathlib import Path

from tests.backends.places import ProcessPlace, UncheckedLlamaCpp

from lading.backends.docker import DockerBackend
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice

PARAMS = {"well": {}, "silent": {"n_parallel": 0}, "other_name": {"model_alias": ["another"]}}


class InImage(UncheckedLlamaCpp):
    """Attributes as they are, by the program that the image starts."""

    programs = ("the image's own",)


class DockerPlace(ProcessPlace):
    """Containers of one state folder; *kind* may be a mutant."""

    def __init__(self, home: Path, image: str, model: Path, kind=DockerBackend, **choice):
        super().__init__(home, kind)
        self.model = model
        self.choice = BackendChoice(kind="docker", image=image, **choice)

    def backend(self, behaviour="well"):
        return self.kind(self.choice, home=self.home)

    def request(self, name, behaviour="well", *, lease=None, **params):
        return ServeRequest(name=name, model=str(self.model), served_name="tiny", engine=InImage(),
                            params={**PARAMS[behaviour], **params}, lease=lease)  # fmt: skip

    def changed(self, request):
        return ServeRequest(name=request.name, model=request.model, served_name="tiny", engine=request.engine,
                            params={"n_parallel": 2})  # fmt: skip
