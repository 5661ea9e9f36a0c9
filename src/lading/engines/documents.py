"""An engine and a rule as JSON (`lading schema engine`, `engine-rule`); a parameter is its own document."""

from lading.engines.base import Engine, Rule
from lading.spec.base import Stored


class EngineDocument(Stored):
    """One engine, as `lading engines --format json` lists it."""

    name: str
    version: str
    """The version the catalogue was read from."""
    programs: tuple[str, ...]
    image: str
    parameters: int
    """How many."""
    searchable: int
    """How many of them have a range worth searching."""
    rules: int

    @classmethod
    def of(cls, engine: Engine) -> "EngineDocument":
        """The document of *engine*."""
        parameters = engine.parameters.values()
        return cls(
            name=engine.name,
            version=engine.version,
            programs=tuple(engine.programs),
            image=engine.image,
            parameters=len(parameters),
            searchable=sum(one.search is not None for one in parameters),
            rules=len(engine.rules),
        )


class RuleDocument(Stored):
    """One check before launch."""

    name: str
    about: str
    """What must hold."""
    parameters: tuple[str, ...]
    hint: str
    source: str

    @classmethod
    def of(cls, rule: Rule) -> "RuleDocument":
        """The document of *rule*."""
        return cls(name=rule.name, about=rule.about, parameters=rule.parameters, hint=rule.hint, source=rule.source)
