"""What does a token cost: requests where 32 threads want the same one, and microseconds where it is at hand."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from localcloud.control.client import ControlClient
from localcloud.environment import create_storage, product_environment
from localcloud.processes import start_azurite, start_cloud
from shared.composition import Services, compose
from shared.credentials import GrantType, NewCredential
from shared.proofs import AuthMethod
from shared.settings import Settings

THREADS = 32
CACHED_CALLS = 20_000
ROUNDS = 5
MOST_CACHED_US = 50.0
Figures = dict[str, float | int]


def measure() -> tuple[Figures, list[str]]:
    """Return the figures, and what misses its goal."""
    with ExitStack() as stack:
        azurite = start_azurite()
        stack.callback(azurite.close)
        create_storage(azurite.connection_string)
        cloud = start_cloud()
        stack.callback(cloud.close)
        environment = product_environment(azurite.connection_string, cloud.environment, "http://127.0.0.1:7071")
        os.environ.update(environment)
        settings = Settings.from_environment(environment)
        control = stack.enter_context(
            ControlClient(environment["LOCALCLOUD_CONTROL_URL"], environment["LOCALCLOUD_CONTROL_TOKEN"])
        )
        grant_id = _grant(control, compose(settings))
        fresh = compose(settings)  # as another process would be: nothing is cached
        control.reset_counters()
        _ask_at_once(fresh, grant_id)
        counters = control.counters()
        figures: Figures = {
            "threads": THREADS,
            "entra_requests": counters.get("entra.token", 0),
            "entra_discoveries": counters.get("entra.discovery", 0),  # once per tenant and process: where to ask
            "vault_requests": sum(count for name, count in counters.items() if name.startswith("vault.")),
            "cached_us": round(_cached_us(fresh, grant_id), 2),
        }
    return figures, _missed(figures)


def _grant(control: ControlClient, services: Services) -> str:
    """Found a tenant that has consented, and let the product verify it; return the grant's id."""
    tenant = control.add_tenant("bench.example", "Bench")["id"]
    app = control.add_registration(tenant, "Mailgrant", [services.settings.redirect_uri], multitenant=False)
    control.consent(tenant, app["client_id"])
    credential = services.credentials.create(
        NewCredential(
            name="Bench",
            client_id=app["client_id"],
            grant_type=GrantType.CLIENT_CREDENTIALS,
            auth_method=AuthMethod.SECRET,
            client_secret=app["secret"]["value"],
            cloud="global",
            tenant=tenant,
        )
    )
    return services.grant_checks.verify_tenant(credential, tenant).id


def _ask_at_once(services: Services, grant_id: str) -> None:
    """Let every thread ask at the same moment; raises where they did not all get the same token."""
    barrier = threading.Barrier(THREADS)

    def ask(_: int) -> str:
        barrier.wait()
        return services.credentials.tokens.access_token(grant_id).value

    with ThreadPoolExecutor(THREADS) as pool:
        tokens = set(pool.map(ask, range(THREADS)))
    if len(tokens) != 1:
        message = f"{len(tokens)} different tokens for one tenant"
        raise RuntimeError(message)


def _cached_us(services: Services, grant_id: str) -> float:
    """Return what a token that is at hand costs, in microseconds: the median of several rounds."""
    tokens, rounds = services.credentials.tokens, []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CACHED_CALLS):
            tokens.access_token(grant_id)
        rounds.append((time.perf_counter() - began) / CACHED_CALLS * 1e6)
    return sorted(rounds)[ROUNDS // 2]


def _missed(figures: Figures) -> list[str]:
    goals = {
        "exactly one request to Entra": figures["entra_requests"] == 1,
        "at most one discovery": figures["entra_discoveries"] <= 1,
        "exactly one request to Key Vault": figures["vault_requests"] == 1,
        f"a cached token costs under {MOST_CACHED_US:.0f} µs": figures["cached_us"] < MOST_CACHED_US,
    }
    return [goal for goal, met in goals.items() if not met]
