"""Servers of weights on a cluster: what the backends `deployment` and `kserve` share.

A subclass says how its objects are found (`Form`) and plans them; here they are applied, watched until they answer,
proved, told of and removed. What a cluster holds is the only state: another process finds a server by its labels.

Readiness is never an object's own word. The pod must be ready, the claim's folder must be mounted in it read-only, and one
real request must be answered under the served name by the way its clients take.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from lading.backends import (
    asking,
    on_cluster_lease,
    on_cluster_proof,
    on_cluster_removal,
    on_cluster_route,
    on_cluster_told,
)
from lading.backends import on_cluster_plan as plans
from lading.backends import on_cluster_scene as scenes
from lading.backends import on_cluster_verdict as verdicts
from lading.backends.on_cluster_form import Form
from lading.backends.on_cluster_scene import Scene, Stuck, Tell
from lading.cluster import config, kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.cluster.loop import LoopThread
from lading.diagnosis.finding import Finding
from lading.engines.base import Engine
from lading.errors import ServingError
from lading.events import Emit, Notice
from lading.manifests import names, ours, serving
from lading.manifests.target import PORT
from lading.ports.backend import Deployment, Endpoint, OnClaim, Ready, Running, ServeRequest
from lading.spec.study import BackendChoice

Result = TypeVar("Result")
LOOP = LoopThread("lading-serving")
"""Everything here runs on one loop, so that the blocking `log` may be called from a loop as well."""


class OnCluster:
    """A backend on a cluster; subclasses give `form` and `plan`.

    Args:
        choice: `namespace`, `context`, `image`, `env`, `gpus`, `resources`, `node_selector`, `tolerations` and
            `service_account` are read.
        home: Lading's state folder: whose leases are held by this machine is known there.

    Attributes:
        lease_s: A run that was not heard of for so long is dead.
        tell: Called with each new reason why a server is not ready yet.
    """

    form: ClassVar[Form]
    lease_s: int = 120

    def __init__(self, choice: BackendChoice, *, home: Path) -> None:
        self._choice = choice
        self._home = home
        self._applied: dict[str, _Applied] = {}
        self.tell: Tell = _silent

    @property
    def kind(self) -> str:
        """As `lading.ports.backend.Backend.kind`."""
        return self.form.kind

    def narrate(self, emit: Emit) -> None:
        """As `lading.ports.backend.Narrates.narrate`: each new reason why a server is not ready yet."""
        loop = asyncio.get_running_loop()

        def tell(finding: Finding) -> None:
            event = Notice(message=finding.sentence, hint=finding.remedy or None)
            loop.call_soon_threadsafe(emit, event)

        self.tell = tell

    # ------------------------------------------------------------------------------------------------------ plan

    def on_claim(self, request: ServeRequest) -> OnClaim:
        """As `on_cluster_plan.on_claim`."""
        return plans.on_claim(self._choice, request)

    def server(self, request: ServeRequest) -> serving.Server:
        """As `on_cluster_plan.server`."""
        return plans.server(self._choice, request)

    def planned(
        self,
        request: ServeRequest,
        *,
        argv: Sequence[str],
        image: str | None,
        env: Mapping[str, str],
        objects: Sequence[Mapping[str, Any]],
        program: str = "",
        port: int = PORT,
    ) -> Deployment:
        """The deployment of *objects*, which get our labels, in the order in which they are applied; pure.

        Args:
            request: What was asked for.
            argv: As the pod will have it: command and arguments, unescaped; empty where a runtime decides it.
            image: Of the container; None where a runtime decides it.
            env: Without secrets.
            objects: With name and namespace.
            program: Which of the engine's programs it is.
            port: Where the server listens in its pod.
        """
        claim = self.on_claim(request)
        return Deployment(
            name=request.name,
            backend=self.kind,
            engine=request.engine,
            program=program,
            argv=tuple(argv),
            argv_sha256=hashlib.sha256("\0".join(argv).encode()).hexdigest(),
            env=dict(env),
            model=request.model,
            served_name=request.served_name,
            params=dict(request.params),
            host=plans.ANYWHERE,
            port=port,
            lease=request.lease,
            image=image,
            objects=plans.marked(objects, request, claim, backend=self.kind),
        )

    # ------------------------------------------------------------------------------------------------------ life

    async def apply(self, deployment: Deployment) -> None:
        """As `lading.ports.backend.Backend.apply`. Refused before anything is made where one object would be.

        Should it fail half way, `names` lists what there is, and `remove` takes it away.

        Raises:
            ServingError: Something else of that name is there.
            ClusterConflict: Another owns a field of ours; says who.
            ClusterDenied, ClusterError: As named.
        """
        await LOOP.awaited(self._apply(deployment))

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """As `lading.ports.backend.Backend.ready`. What waiting cannot help ends it at once, with its evidence as the log.

        Raises:
            ClusterError: The cluster cannot be looked at.
        """
        return await LOOP.awaited(self._ready(name, within_s))

    async def alive(self, name: str) -> bool:
        """As `lading.ports.backend.Backend.alive`: a pod of it is ready, or starts."""
        return await LOOP.awaited(self._alive(name))

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.log`: of its newest pod."""
        return LOOP.run(self._log(name, lines))

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """As `lading.ports.backend.Backend.remove`. Once begun it is carried through, even when the caller is cancelled."""
        self._applied.pop(name, None)
        await _carried_through(self._remove(name, within_s))

    async def names(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.names`, of the namespace: what has an object there, half of it included."""
        return await LOOP.awaited(self._names())

    async def reap(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.reap`, of the namespace."""
        return await LOOP.awaited(self._reap())

    async def servers(self) -> tuple[Running, ...]:
        """As `lading.ports.backend.Tells.servers`, of the namespace."""
        return await LOOP.awaited(self._servers())

    @asynccontextmanager
    async def reached(self, name: str) -> AsyncIterator[Endpoint]:
        """As `lading.ports.backend.Tells.reached`; not for measuring.

        On the loop that asks: unlike the rest, it is used where it is entered.

        Raises:
            ServingError: Nothing called *name* has a Service.
        """
        async with self._cluster(name) as cluster:
            service = await self._service(cluster, name)
            served_name = on_cluster_told.said(await self._objects(cluster, name), ours.SERVED_NAME)
            async with self._route(cluster, name, service) as url:
                yield Endpoint(base_url=url, served_name=served_name)

    # ------------------------------------------------------------------------------------------------------ steps

    async def _apply(self, deployment: Deployment) -> None:
        place = plans.place_of(deployment)
        async with Cluster(self._connection(place.namespace)) as cluster:
            there = await self._there(cluster, deployment)
            if there is not None and await self._left_behind(cluster, there):
                await self._removal(cluster, deployment.name, within_s=60.0)
                there = None
            if there is None:
                for document in deployment.objects:
                    await cluster.apply(document, dry_run=True)
            if deployment.lease is not None:
                await on_cluster_lease.hold(
                    cluster, deployment.lease, place.namespace, home=self._home, duration_s=self.lease_s
                )
            kept = plans.lease_of(there) if there is not None else deployment.lease
            for document in deployment.objects:
                await cluster.apply(plans.with_lease(document, kept))
        before = self._applied.get(deployment.name) if there is not None else None
        self._applied[deployment.name] = _Applied(deployment, place, before.at if before else time.monotonic())

    async def _there(self, cluster: Cluster, deployment: Deployment) -> Object | None:
        """What of *deployment* is there already; None: nothing.

        Raises:
            ServingError: It is not ours, or runs something else.
        """
        found = None
        for document in deployment.objects:
            metadata = document["metadata"]
            one = await cluster.find(kinds.of(document), metadata["name"], namespace=metadata["namespace"])
            if one is None:
                continue
            found = one
            if not await self._left_behind(cluster, one):
                plans.refuse_other(one, document, deployment)
        return found

    async def _left_behind(self, cluster: Cluster, one: Object) -> bool:
        lease = plans.lease_of(one)
        if lease is None or not plans.is_ours(one, self.kind):
            return False
        namespace = one["metadata"]["namespace"]
        return bool(await on_cluster_lease.dead(cluster, (lease,), namespace, home=self._home))

    async def _ready(self, name: str, within_s: float) -> Ready:
        began = time.monotonic()
        applied = self._applied.get(name)
        if applied is None:
            raise ServingError(f"nothing called {name} was applied here", hint="`apply` comes before `ready`")
        deadline = asyncio.get_running_loop().time() + within_s
        async with self._cluster(name) as cluster, scenes.kept(self._scene(cluster, name, applied.place)) as scene:
            try:
                pod = await scene.until_ready(deadline)
                verdicts.prove(pod, self.form.container, applied.place)
                endpoint, effective = await self._answered(cluster, scene, applied, began + within_s)
            except Stuck as stuck:
                raise await verdicts.ended(scene, stuck.finding) from None
            except TimeoutError:
                raise await verdicts.late(scene, within_s) from None
            except ServingError as error:
                error.log = error.log or await scene.log()
                raise
        return Ready(
            endpoint=endpoint,
            ready_s=time.monotonic() - applied.at,
            argv=on_cluster_proof.argv(pod, self.form.container),
            effective=effective,
        )

    async def _answered(
        self, cluster: Cluster, scene: Scene, applied: "_Applied", until: float
    ) -> tuple[Endpoint, Mapping[str, Any]]:
        """Ask until it answers, by its clients' way; *until* in seconds of `time.monotonic`."""
        deployment = applied.deployment
        engine = deployment.engine
        service = await self._service(cluster, deployment.name)
        async with self._route(cluster, deployment.name, service) as url, asking.Client(url) as client:
            served = await asking.until_answering(
                client, deployment.served_name or None, deadline=until, check=scene.check
            )
            answers = await asking.probes(client, engine.probes)
        await self._until_routed(cluster, scene, str(service["metadata"]["name"]), until)
        address = on_cluster_route.url(service, namespace=applied.place.namespace)
        return _endpoint(address, served, engine, answers), engine.effective(answers, await scene.log())

    async def _until_routed(self, cluster: Cluster, scene: Scene, service: str, until: float) -> None:
        """Until the Service sends requests to the pod; a port-forward asks the pod past it.

        Raises:
            TimeoutError: Not in time.
        """
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            while True:
                scene.check()
                pod = scene.running()
                behind = await on_cluster_route.behind(cluster, service, scene.namespace)
                if pod is not None and pod["metadata"]["name"] in behind:
                    return
                await asyncio.sleep(0.1)

    async def _alive(self, name: str) -> bool:
        async with self._cluster(name) as cluster:
            if not any(await self._objects(cluster, name)):
                return False
            pods = await cluster.list(kinds.POD, namespace=cluster.namespace, labels=self.form.pods(names.dns(name)))
        return any(not scenes.leaving(pod) for pod in pods)

    async def _log(self, name: str, lines: int) -> tuple[str, ...]:
        async with self._cluster(name) as cluster:
            pods = await cluster.list(kinds.POD, labels=self.form.pods(names.dns(name)))
            newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
            if newest is None:
                return ()
            return await scenes.tail(cluster, newest, self.form.container, cluster.namespace, lines=lines)

    async def _remove(self, name: str, within_s: float) -> None:
        async with self._cluster(name) as cluster:
            await self._removal(cluster, name, within_s=within_s)

    async def _removal(self, cluster: Cluster, name: str, *, within_s: float) -> None:
        await on_cluster_removal.remove(cluster, self.form, names.dns(name), shown=name, within_s=within_s)

    async def _names(self) -> tuple[str, ...]:
        async with Cluster(self._connection(None)) as cluster:
            found = [one for one in await self._objects(cluster) if one]
        return tuple(sorted({plans.name_of(one) for one in found}))

    async def _servers(self) -> tuple[Running, ...]:
        async with Cluster(self._connection(None)) as cluster:
            ours_here = await self._objects(cluster)
            leases = {lease for one in ours_here if (lease := plans.lease_of(one))}
            dead = await on_cluster_lease.dead(cluster, leases, cluster.namespace, home=self._home)
            held = leases - set(dead)
            named = sorted({plans.name_of(one) for one in ours_here})
            return tuple(
                [
                    await self._told(cluster, [one for one in ours_here if plans.name_of(one) == name], held)
                    for name in named
                ]
            )

    async def _told(self, cluster: Cluster, objects: Sequence[Object], held: Collection[str]) -> Running:
        name = plans.name_of(objects[0])
        pods = await cluster.list(kinds.POD, labels=self.form.pods(names.dns(name)))
        service = await cluster.find(kinds.SERVICE, self.form.service(names.dns(name)))
        return on_cluster_told.running(
            self.form,
            objects,
            pods,
            namespace=cluster.namespace,
            url=on_cluster_route.url(service, namespace=cluster.namespace) if service else None,
            of_a_run=plans.lease_of(objects[0]) in held,
        )

    async def _reap(self) -> tuple[str, ...]:
        async with Cluster(self._connection(None)) as cluster:
            leases = {
                plans.name_of(one): lease for one in await self._objects(cluster) if (lease := plans.lease_of(one))
            }
            dead = await on_cluster_lease.dead(cluster, leases.values(), cluster.namespace, home=self._home)
            left = tuple(sorted(name for name, lease in leases.items() if lease in dead))
            for name in left:
                await self._removal(cluster, name, within_s=60.0)
            await on_cluster_lease.forget_dead(cluster, cluster.namespace, home=self._home)
        return left

    async def _objects(self, cluster: Cluster, name: str | None = None) -> tuple[Object, ...]:
        """Ours of this kind, or those of one server."""
        chosen = plans.selector(self.kind, names.dns(name) if name is not None else None)
        listed = await asyncio.gather(*(cluster.list(kind, labels=chosen) for kind in self.form.kinds))
        return tuple(one for objects in listed for one in objects)

    async def _service(self, cluster: Cluster, name: str) -> Object:
        """The Service that clients ask.

        Raises:
            ServingError: There is none.
        """
        wanted = self.form.service(names.dns(name))
        found = await cluster.find(kinds.SERVICE, wanted)
        if found is None:
            raise ServingError(f"{name} has no Service {wanted} in namespace {cluster.namespace}")
        return found

    @asynccontextmanager
    async def _route(self, cluster: Cluster, name: str, service: Object) -> AsyncIterator[str]:
        async with on_cluster_route.reached(
            cluster,
            service,
            pods=self.form.pods(names.dns(name)),
            port=self.form.port,
            namespace=cluster.namespace,
        ) as url:
            yield url

    def _scene(self, cluster: Cluster, name: str, place: OnClaim) -> Scene:
        return Scene(
            cluster=cluster,
            form=self.form,
            name=names.dns(name),
            shown=name,
            namespace=place.namespace,
            claim=place,
            tell=self.tell,
        )

    def _cluster(self, name: str) -> Cluster:
        """The cluster, in the namespace of the server called *name*."""
        applied = self._applied.get(name)
        return Cluster(self._connection(applied.place.namespace if applied else None))

    def _connection(self, namespace: str | None) -> config.Connection:
        return config.connection(context=self._choice.context, namespace=namespace or self._choice.namespace)


@dataclass(frozen=True, slots=True)
class _Applied:
    """What this process applied: *at* in monotonic seconds."""

    deployment: Deployment
    place: OnClaim
    at: float


def _endpoint(url: str, served_name: str, engine: Engine, answers: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        base_url=url,
        served_name=served_name,
        takes_token_ids=engine.takes_token_ids,
        vocabulary=asking.vocabulary(answers),
        request_body=dict(engine.request_body()),
        reach="cluster",
    )


def _silent(finding: Finding) -> None:
    del finding


async def _carried_through(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of *work*, on our loop; a caller who is cancelled leaves it running to its end."""
    done = asyncio.run_coroutine_threadsafe(work, LOOP.loop())
    return await asyncio.shield(asyncio.wrap_future(done))
