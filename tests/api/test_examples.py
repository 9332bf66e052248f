"""The examples of the documentation, run as they stand: they tell one story, and each of its steps succeeds."""

from tests.api.twins import make_twin


async def test_the_examples_build_a_tenant_with_one_of_everything(app, database, settings):
    twin = await make_twin(app, database, settings)
    assert all(twin.ids.values()), twin.ids
