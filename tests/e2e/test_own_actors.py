"""An actor that somebody brings along is supervised in a running installation, by one call of the client."""

import pytest

from tests.e2e.support import Site, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SUPERVISE = """
import json, sys
answer, sys.stdout = sys.stdout, sys.stderr  # Ray's own words to a driver go to stdout
from maestro import Maestro
from maestro.errors import Conflict
from maestro.supervision import ChildSpec
spec = ChildSpec(id="thermometer/attic", start="tests.e2e.family:Thermometer", args={"degrees": 31})
maestro = Maestro.connect()
maestro.supervise(spec)
try:
    maestro.supervise(spec)
except Conflict as error:
    print(json.dumps(error.facts), file=answer)
"""
READ = """
import json, sys
answer, sys.stdout = sys.stdout, sys.stderr
import ray
from actors.cluster import RayCluster
print(json.dumps(ray.get(RayCluster().actor("thermometer/attic").read.remote())), file=answer)
"""


def test_it_is_started_by_a_client_found_by_its_name_and_back_after_kill_9(shared_site: Site) -> None:
    assert shared_site.python(SUPERVISE) == {"otp": "already_started"}
    assert shared_site.python(READ) == [31, 1]

    (before,) = shared_site.actors("thermometer/").values()
    before.kill()
    eventually(lambda: list(shared_site.actors("thermometer/").values()), lambda now: now and now != [before])
    assert shared_site.python(READ) == [31, 1]
