"""`lading bench`."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter
from pydantic import ValidationError

from lading import wiring
from lading.answers.serving import BenchPlan
from lading.cli import bench_view
from lading.cli.bench_view import BenchView
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.errors import InvalidInput, MeasurementError
from lading.flows import bench as flow
from lading.flows.bench import BenchResult
from lading.load import loops, probe
from lading.measure import lengths
from lading.measure.summary import MIN_BEYOND, NotResolved, Summary
from lading.ports.backend import Endpoint
from lading.spec import documents, units
from lading.spec.workload import Workload
from lading.wiring import serving

Number = TypeVar("Number", int, float)


def bench(
    server: str,
    *,
    levels: str | None = None,
    rates: str | None = None,
    arrivals: Literal["poisson", "constant"] | None = None,
    scenario: str | None = None,
    requests: int | None = None,
    duration: str | None = None,
    api: Literal["chat", "completions"] | None = None,
    prompt: Literal["auto", "tokens", "text"] | None = None,
    model: str | None = None,
    warmup: int | None = None,
    timeout: str | None = None,
    seed: int | None = None,
    slo_ttft: str | None = None,
    slo_tpot: str | None = None,
    slo_itl: str | None = None,
    slo_e2e: str | None = None,
    workload: Path | None = None,
    out: Path | None = None,
    api_key_env: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """Measure a running server under load.

    Offers the same kind of requests at one level after another, and reports for each: time to first token (TTFT), time
    per further token (TPOT), gaps between chunks (ITL), throughput, and whether this client was the limit. Percentiles
    are over all issued requests, failed ones counted as worse than any number. Failed requests are data: the exit code
    is 1 only where a whole level could not be measured.

    Args:
        server: What `lading serve` called it, or a URL such as http://127.0.0.1:8000.
        levels: Requests kept in flight, one level each, such as 1,4,16; 1 by default.
        rates: Requests per second offered, one level each, such as 0.5,2; instead of --levels.
        arrivals: How --rates are spaced: poisson (the default) or constant.
        scenario: Tokens of prompt and answer: D(512,128), the default, N(512,64)/(128,16) or U(256,768)/(64,192).
        requests: Requests per level, 100 by default.
        duration: Stop a level after this long, such as 2m; its requests in flight are waited for.
        api: The API to ask: completions (the default) or chat.
        prompt: Send token ids or text; auto: ids where the server takes them.
        model: The name of the model; the one that is served by default.
        warmup: Requests before measuring; until throughput is steady by default.
        timeout: The longest wait for one request, 2m by default; then it counts as failed.
        seed: Makes prompts, lengths and arrivals; a new one each run by default, so that no cache knows the prompts.
        slo_ttft: A good request has its first token within this, such as 500ms.
        slo_tpot: A good request takes at most this per further token.
        slo_itl: A good request has no longer gap between chunks.
        slo_e2e: A good request is answered within this.
        workload: A YAML file that describes the workload; options given here win.
        out: A new folder for the result; made below the current one by default.
        api_key_env: The environment variable that has the server's key; LADING_API_KEY by default.
        dry_run: Print the workload and send nothing.
    """
    _check_key(api_key_env)
    slo = {"ttft_s": slo_ttft, "tpot_s": slo_tpot, "itl_s": slo_itl, "e2e_s": slo_e2e}
    wanted = _workload(
        workload,
        levels=_levels(levels, rates),
        slo={key: value for key, value in slo.items() if value is not None} or None,
        seed=seed,
        arrivals=arrivals,
        scenario=scenario,
        requests=requests,
        duration=duration,
        api=api,
        prompt=prompt,
        warmup=warmup,
        timeout=timeout,
    )
    if dry_run:
        Output(common).result(BenchPlan(server=server, model=model, workload=wanted))
        return 0
    folder = out or serving.result_folder(server)
    return loops.run(_bench(server, wanted, folder, model=model, api_key_env=api_key_env, common=common))


async def _bench(
    server: str, workload: Workload, folder: Path, *, model: str | None, api_key_env: str | None, common: Common | None
) -> int:
    view = BenchView()
    output = Output(common, live=view)
    endpoint = await serving.endpoint_of(server, api_key_env)
    try:
        endpoint = await serving.named(endpoint, model)
        work = flow.bench(endpoint, workload, wiring.load_generator(), folder, emit=output.event)
        result = await stoppable(work, kept=f"levels that were finished are in {folder}")
    except MeasurementError as error:
        raise await _with_names(error, endpoint) from error
    finally:
        view.close()
    _tell(output, result, folder)
    return 1 if result.lost else 0


def _tell(output: Output, result: BenchResult, folder: Path) -> None:
    """The answer: a sentence, the table, where everything is."""
    output.say(sentence(result))
    if output.json:
        output.result(result)
    else:
        rows = [bench_view.row(level.summary) for level in result.levels]
        rows += [bench_view.lost_row(lost.level, lost.reason) for lost in result.lost]
        output.table(bench_view.COLUMNS, rows, right=bench_view.NUMBERS)
    if any(isinstance(level.summary.ttft_s.issued.get("p95"), NotResolved) for level in result.levels):
        output.say(f"–: fewer than {MIN_BEYOND} samples beyond it; a p95 needs --requests {MIN_BEYOND * 20}")
    output.say(f"summary: {folder / flow.RESULT_FILE}")
    output.say(f"raw records: {', '.join(str(folder / level.record_file) for level in result.levels) or 'none'}")


def sentence(result: BenchResult) -> str:
    """The first line: the best level and what it gives."""
    summaries = [level.summary for level in result.levels]
    failed = sum(summary.requests - summary.completed for summary in summaries)
    faults = f"; {failed} of {sum(summary.requests for summary in summaries)} requests failed" if failed else ""
    best = flow.best(result.levels)
    if best is None:
        why = "every level was limited by this client" if summaries else "no level could be measured"
        return f"{result.served_name}: {why}{faults}"
    return f"{result.served_name} gives the most at {best.level}: {_figures(best)}{faults}"


def _figures(best: Summary) -> str:
    median = bench_view.milliseconds(best.ttft_s, "p50")
    ttft = f", median TTFT {median} ms" if median[0].isdigit() else ""
    return f"{units.show_number(best.output_tokens_per_s)} output tokens/s{ttft}"


async def _with_names(error: MeasurementError, endpoint: Endpoint) -> MeasurementError:
    """*error*, with the names that are served where the one asked for is none of them."""
    try:
        names = [model.name for model in await probe.models(endpoint)]
    except MeasurementError:
        return error
    if not names or not endpoint.served_name or endpoint.served_name in names:
        return error
    return MeasurementError(error.message, hint=f"{endpoint.base_url} serves `{names[0]}`: use --model {names[0]}")


def _workload(file: Path | None, **given: Any) -> Workload:
    """The workload of *file* with the options given over it; a seed is drawn where neither has one."""
    document = documents.load(file, Workload).model_dump(by_alias=True, exclude_unset=True) if file else {}
    document |= {key: value for key, value in given.items() if value is not None}
    document.setdefault("seed", secrets.randbelow(2**31))
    try:
        workload = Workload.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{_option(detail['loc'])}: {_problem(detail['msg'], detail['input'])}" for detail in error.errors()
        ]
        raise InvalidInput("; ".join(problems), hint="`lading bench --help` says what it takes") from error
    lengths.parse(workload.scenario)
    return workload


def _option(location: tuple[int | str, ...]) -> str:
    """The option that a key of the workload is given by."""
    match location:
        case ("levels", "rate", *_):
            return "--rates"
        case ("slo", str(metric), *_):
            return f"--slo-{metric.removesuffix('_s')}"
        case (first, *_):
            return f"--{first}"
        case _:
            return "the workload"


def _problem(message: str, given: object) -> str:
    own = message.removeprefix("Value error, ")
    return own if own != message else f"{own[:1].lower()}{own[1:]}, not {given!r}"


def _levels(levels: str | None, rates: str | None) -> dict[str, list[Any]] | None:
    if levels is not None and rates is not None:
        raise InvalidInput("--levels and --rates exclude each other", hint="run `lading bench` once with each")
    if levels is not None:
        return {"concurrency": _numbers("--levels", levels, int, "whole numbers, such as 1,4,16")}
    return None if rates is None else {"rate": _numbers("--rates", rates, float, "numbers, such as 0.5,2")}


def _numbers(option: str, text: str, kind: Callable[[str], Number], what: str) -> list[Number]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(f"{option} {text!r} is no list of numbers", hint=f"write {what}") from None


def _check_key(api_key_env: str | None) -> None:
    if api_key_env is not None and not os.environ.get(api_key_env, "").strip():
        raise InvalidInput(f"the environment variable {api_key_env} is not set", hint=f"export {api_key_env}=…")
