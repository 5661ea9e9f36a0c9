"""Which files a server of models looks for in its folder: what it finds decides whether it serves, and it says so only late.

Names alone are looked at. A server that finds nothing may still say that it is ready, and one that finds two ends.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lading.diagnosis.finding import Finding

_SOME = 5


@dataclass(frozen=True, slots=True)
class Lookup:
    """What one server looks for at the top of the folder.

    Attributes:
        server: What it is called, and a word that its image has.
        formats: KServe's names of what it loads.
        endings: Of the file names it takes.
        names: Names it takes, where it takes these alone.
        one: It takes exactly one, and ends where there are two.
    """

    server: str
    formats: frozenset[str]
    endings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    one: bool = False

    def takes(self, name: str) -> bool:
        """Whether it takes a file of that *name*; dotfiles count."""
        return name in self.names or name.endswith(self.endings)

    @property
    def wanted(self) -> str:
        """What it takes, for people."""
        return " or ".join([*self.names, *(f"*{ending}" for ending in self.endings)])


#: The servers whose rules are known, the more special name first.
LOOKUPS = (
    Lookup("sklearnserver", frozenset({"sklearn"}), (".joblib", ".pkl", ".pickle"), one=True),
    Lookup("xgbserver", frozenset({"xgboost"}), (".bst", ".json", ".ubj"), one=True),
    Lookup("lgbserver", frozenset({"lightgbm"}), (".bst",), one=True),
    Lookup("pmmlserver", frozenset({"pmml"}), (".pmml",), one=True),
    Lookup(
        "mlserver", frozenset({"sklearn"}), names=("model-settings.json", "model.joblib", "model.pickle", "model.pkl")
    ),
    Lookup("mlserver", frozenset({"xgboost"}), names=("model-settings.json", "model.bst", "model.json", "model.ubj")),
    Lookup("mlserver", frozenset({"lightgbm"}), names=("model-settings.json", "model.bst")),
    Lookup("huggingfaceserver", frozenset({"huggingface"}), names=("config.json",)),
    Lookup("vllm", frozenset({"vLLM", "huggingface"}), names=("config.json",)),
    Lookup("sglang", frozenset({"sglang", "SGLang", "huggingface"}), names=("config.json",)),
    Lookup("llama", frozenset({"gguf"}), (".gguf",)),
)


def problems(files: Collection[str], *, image: str, model_format: str, file: str | None = None) -> tuple[Finding, ...]:
    """What the server of *image* will not find, or find twice, among *files*; empty where its rules are not known.

    Args:
        files: Paths in the model's folder.
        image: Of the server; its name says which server it is.
        model_format: As a runtime lists it.
        file: The one file that the server is given, where it is given one.
    """
    if file is not None:
        return () if file in files else (_missing_file(file, files),)
    if not files:
        return (_none("the model's folder has no files", "pull the model again"),)
    lookup = _lookup(image, model_format)
    if lookup is None:
        return ()
    top = sorted(path for path in files if "/" not in path)
    taken = [name for name in top if lookup.takes(name)]
    if not taken:
        sentence = f"{lookup.server} looks for {lookup.wanted} at the top of the folder, and there is {_some(top)}"
        return (
            _none(sentence, f"serve the folder that has it, or have another runtime serve the format {model_format}"),
        )
    if lookup.one and len(taken) > 1:
        sentence = f"{lookup.server} takes exactly one of {lookup.wanted}, and the folder has {_some(taken)}"
        return (Finding(cause="model-ambiguous", sentence=sentence, remedy="keep one: pull again with --exclude for the others", fatal=True),)  # fmt: skip
    return ()


def _lookup(image: str, model_format: str) -> Lookup | None:
    name = image.rpartition("/")[2].lower()
    return next((one for one in LOOKUPS if one.server in name and model_format in one.formats), None)


def _none(sentence: str, remedy: str) -> Finding:
    return Finding(cause="model-not-found", sentence=sentence, remedy=remedy, fatal=True)


def _missing_file(file: str, files: Collection[str]) -> Finding:
    return _none(f"the server is given {file}, and the folder has {_some(sorted(files))}", "name one of these")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return (", ".join(names[:_SOME]) or "nothing") + more
