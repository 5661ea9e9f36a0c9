"""One prediction by V1 or V2: the sample that is sent where nothing was given, the question, the answer that counts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from lading.backends import asking, asking_protocol, asking_tensors
from lading.backends.asking import FIRST_ANSWER_S, Answer, Client
from lading.backends.asking_tensors import Tensor
from lading.errors import InvalidInput, NotReady, ServerSilent, ServingError, WrongModelServed

Predictive = Literal["v1", "v2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prediction to ask for.

    Attributes:
        sample: Where the input is from when it was made up, in words; None: it was given.
        inputs: What the server's metadata says that its model takes.
    """

    protocol: Predictive
    model: str
    body: Mapping[str, Any]
    sample: str | None = None
    inputs: tuple[Tensor, ...] = ()

    @property
    def path(self) -> str:
        """Where it is posted."""
        if self.protocol == "v1":
            return f"{asking_protocol.v1_path(self.model)}:predict"
        return f"{asking_protocol.v2_path(self.model)}/infer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicting:
    """A V1 or V2 server that is ready.

    Attributes:
        sent: What it answered with a prediction; None: no input could be made up, and its model's own status is all there is.
    """

    model: str
    sent: Mapping[str, Any] | None


async def question(
    client: Client, protocol: Predictive, model: str, value: object | None, *, whole: bool = False, within_s: float
) -> Question:
    """The question for *value* (None: a sample), with names, types and shapes of the server's metadata.

    Args:
        client: Of the server.
        protocol: Which of both.
        model: As the server calls it.
        value: Rows, one row, one value, or an object with a value for each input.
        whole: Whether *value* is the request's body as it is.
        within_s: The longest each answer may take.

    Raises:
        InvalidInput: *value* is no tensor, or a sample cannot be made up.
        ServingError: The server refuses, or has no such model.
        aiohttp.ClientError, TimeoutError: As `Client.get`.
    """
    inputs = await metadata(client, model, within_s=within_s) if protocol == "v2" else ()
    if whole and isinstance(value, Mapping):
        return Question(protocol=protocol, model=model, body=value, inputs=inputs)
    if value is not None:
        return Question(protocol=protocol, model=model, body=_body(protocol, value, inputs), inputs=inputs)
    if inputs:
        body = {"inputs": asking_tensors.sample(inputs)}
        return Question(protocol=protocol, model=model, body=body, sample="the server's metadata", inputs=inputs)
    return await _learned(client, protocol, model, within_s)


async def metadata(client: Client, model: str, *, within_s: float) -> tuple[Tensor, ...]:
    """The inputs that V2's metadata names; empty where it names none.

    Raises:
        ServingError: The server refuses, or has no such model.
        aiohttp.ClientError, TimeoutError: As `Client.get`.
    """
    path = asking_protocol.v2_path(model)
    answer = await client.get(path, within_s=within_s)
    if answer.status != 200:
        raise asking.refused(client.base_url + path, answer)
    return asking_tensors.described(answer.document)


async def predict(client: Client, asked: Question, *, within_s: float) -> Any:
    """The server's whole answer to *asked*, looked through.

    Raises:
        ServingError: It refuses, with its own words and what it takes; or its answer is none.
        WrongModelServed: It answers as another model.
        aiohttp.ClientError, TimeoutError: As `Client.post`.
    """
    answer = await client.post(asked.path, asked.body, within_s=within_s)
    _check(client, asked, answer)
    return answer.document


async def until_predicting(
    client: Client,
    model: str,
    protocol: Predictive,
    *,
    deadline: float,
    check: Callable[[], None],
    body: Mapping[str, Any] | None = None,
) -> Predicting:
    """Wait until *model* is ready by its own status and answered one prediction, as `asking.until_answering` does for LLMs.

    Args:
        client: Of the server.
        model: The name it must answer under.
        protocol: Which of both.
        deadline: In seconds of `time.monotonic`.
        check: Called while waiting; raises when there is no point in it any more (the process is gone).
        body: The request to send, from a manifest's sample; None: one is made up from what the server says of its model.

    Raises:
        NotReady: Its model does not become ready in time, or it refuses the prediction.
        ServerSilent: It says that it is ready, but does not answer.
        WrongModelServed: It answers as another model.
    """
    await _until_ready(client, model, protocol, deadline, check)
    within_s = max(0.001, min(FIRST_ANSWER_S, deadline - time.monotonic()))
    try:
        return await asking.watched(_first(client, protocol, model, body, within_s), check)
    except InvalidInput:
        return Predicting(model=model, sent=None)
    except TimeoutError:
        raise ServerSilent(
            f"{model} at {client.base_url} says it is ready, but did not answer one prediction in {within_s:.3g} s",
            hint="its log may say why",
        ) from None
    except aiohttp.ClientError as error:
        await asking.while_it_dies(check)
        raise NotReady(f"the server at {client.base_url} broke off its first answer: {error}") from error
    except WrongModelServed:
        raise
    except ServingError as error:
        raise NotReady(error.message, hint=error.hint) from error


async def _first(
    client: Client, protocol: Predictive, model: str, body: Mapping[str, Any] | None, within_s: float
) -> Predicting:
    asked = await question(client, protocol, model, body, whole=True, within_s=within_s)
    await predict(client, asked, within_s=within_s)
    return Predicting(model=model, sent=asked.body)


async def _until_ready(
    client: Client, model: str, protocol: Predictive, deadline: float, check: Callable[[], None]
) -> None:
    started = time.monotonic()
    path = asking_protocol.v1_path(model) if protocol == "v1" else f"{asking_protocol.v2_path(model)}/ready"
    last = "nothing listens there"
    while (left_s := deadline - time.monotonic()) > 0:
        check()
        try:
            answer = await asking.watched(client.get(path, within_s=min(5.0, left_s)), check)
        except TimeoutError:
            if left_s > 1.0:
                last = f"{path} does not answer"
        except aiohttp.ClientError as error:
            last = asking.unreachable(error)
        else:
            if _says_ready(answer, protocol):
                return
            last = f"{path} says {answer.status} {answer.message}"
        await asking.pause(left_s)
    raise NotReady(
        f"{model} at {client.base_url} was not ready after {time.monotonic() - started:.3g} s: {last}",
        hint="give it longer with --deadline, or look at its log",
    )


def _says_ready(answer: Answer, protocol: Predictive) -> bool:
    """V1 says it in its body; V2 by its status, where KServe's servers also say it in words."""
    said = asking_protocol.v1_ready(answer.document)
    return answer.status == 200 and (bool(said) if protocol == "v1" else said is not False)


async def _learned(client: Client, protocol: Predictive, model: str, within_s: float) -> Question:
    """A sample for a model whose server names no inputs: one number is asked about, and its refusal may tell how many it wants.

    Raises:
        InvalidInput: It does not tell.
    """
    words = "one number, as the server does not say what it takes"
    asked = Question(protocol=protocol, model=model, body=_body(protocol, [[0.0]], ()), sample=words)
    answer = await client.post(asked.path, asked.body, within_s=within_s)
    if answer.status == 200:
        return asked
    if answer.status in {401, 403, 404} or answer.location is not None:
        raise asking.refused(client.base_url + asked.path, answer)
    count = asking_tensors.expected_features(answer.message)
    if count is None:
        raise InvalidInput(
            f"{client.base_url} does not say what {model} takes; of one number it says: {answer.message}",
            hint="give the input: '[[5.1, 3.5, 1.4, 0.2]]', or --file sample.json",
        )
    words = f"zeros for the {count} features that the model asks for"
    return Question(protocol=protocol, model=model, body=_body(protocol, [[0.0] * count], ()), sample=words)


def _body(protocol: Predictive, value: object, inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    return asking_tensors.instances_body(value) if protocol == "v1" else asking_tensors.infer_body(value, inputs)


def _check(client: Client, asked: Question, answer: Answer) -> None:
    """That *answer* is one to *asked*."""
    url = client.base_url + asked.path
    if answer.status != 200:
        error = asking.refused(url, answer)
        raise ServingError(error.message, hint=error.hint or _expectation(asked, answer))
    find = asking_tensors.predictions_problem if asked.protocol == "v1" else asking_tensors.outputs_problem
    problem = find(answer.document)
    if problem is not None:
        said = answer.message or "nothing"
        raise ServingError(f"{url} answered 200, but its answer {asking.printable(problem)}: {said}")
    said_name = answer.document.get("model_name") if asked.protocol == "v2" else None
    if isinstance(said_name, str) and said_name != asked.model:
        raise WrongModelServed(f"{client.base_url} answered as {asking.printable(said_name)[:256]}, not {asked.model}")


def _expectation(asked: Question, answer: Answer) -> str | None:
    """What the model takes, as far as it is told."""
    if asked.inputs:
        return f"its metadata says that it takes {'; '.join(map(str, asked.inputs))}"
    count = asking_tensors.expected_features(answer.message)
    return f"it takes rows of {count} numbers" if count else None
