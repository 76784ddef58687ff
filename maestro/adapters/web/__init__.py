"""The web: calls that go nowhere but where `maestro.mesh.egress` lets them."""
