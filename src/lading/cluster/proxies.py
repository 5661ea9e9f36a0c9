"""Which proxy a server is reached through, by the environment, as kubectl reads it. Pure."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def of(server: str, environment: Mapping[str, str]) -> str | None:
    """The proxy for *server* by ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` (either case); None: directly."""
    address = urlsplit(server)
    proxy = _either(environment, f"{address.scheme}_proxy")
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    if not proxy or _is_here(host) or _is_exempt(host, port, _either(environment, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_here(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, rule.strip().lower()) for rule in no_proxy.split(",") if rule.strip())


def _matches(host: str, port: int, rule: str) -> bool:
    """``*``, a name (its subdomains too), ``.domain`` (subdomains alone), an address, a network; each may have a port."""
    if rule == "*":
        return True
    address = _address(host)
    if address is not None:
        network = _network(rule)
        if network is not None:
            return address in network
    name, _, number = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
    if number and number != str(port):
        return False
    return host == name or host.endswith("." + name.removeprefix("*").removeprefix("."))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
