"""Which models are served: several, by name, following their aliases, and former versions for old containers."""

import threading
import time

import pytest

from codec.errors import ModelMismatchError, PackageError, RegistryError, UnknownModelError
from codec.weights import load_package, write_package
from registry.registry import Registry
from registry.storage.store import PackageStore
from serving.models import MAX_FORMER, ServedModels
from serving.self_test import check_model
from tiny import tiny_codec


@pytest.fixture
def registry(tmp_path):
    """A registry with versions 1 to 3 of `speech`, the first in production."""
    registry = Registry.open()
    for seed in range(3):
        directory = tmp_path / f"seed{seed}"
        write_package(directory, tiny_codec(seed), metrics={}, lineage={})
        registry.register(directory, "speech")
    registry.promote("speech:1", "production")
    return registry


@pytest.fixture
def make_models():
    """Load models that follow the registry quickly."""
    opened = []

    def make(*references, **arguments):
        models = ServedModels(references, **arguments)
        models.load()
        models.follow(0.02)
        opened.append(models)
        return models

    yield make
    for models in opened:
        models.close()


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def version_of(models, name="speech"):
    return models.describe(name).version


def damage(registry, reference):
    weights = registry.show(reference).directory / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")


def test_an_alias_is_followed_both_ways(registry, make_models):
    swaps = []
    models = make_models("speech@production", on_swap=lambda name, taken: swaps.append((name, taken)))
    assert version_of(models) == 1
    registry.promote("speech:2", "production")
    wait_for(lambda: version_of(models) == 2)
    registry.rollback("speech", "production")
    wait_for(lambda: version_of(models) == 1)
    assert swaps == [("speech", True), ("speech", True)]


def test_a_version_stays_what_it_is(registry, make_models):
    models = make_models("speech:1")
    registry.promote("speech:2", "production")
    time.sleep(0.1)
    assert version_of(models) == 1


def test_a_damaged_version_is_refused_while_the_old_one_serves_on(registry, make_models):
    models = make_models("speech@production")
    registry.promote("speech:2", "production")
    wait_for(lambda: version_of(models) == 2)
    registry.promote("speech:3", "production")
    wait_for(lambda: version_of(models) == 3)
    registry.rollback("speech", "production")
    wait_for(lambda: version_of(models) == 2)
    # Damaged after it was promoted, and asked for again.
    database_says = registry.show("speech:3")
    damage(registry, "speech:3")
    with pytest.raises(PackageError):
        registry.promote("speech:3", "production")
    assert database_says.version == 3
    assert version_of(models) == 2


def test_a_version_that_fails_its_test_is_refused_and_shown(registry, make_models, monkeypatch):
    models = make_models("speech@production")

    def fail(model):
        raise PackageError("it hums")

    monkeypatch.setattr("serving.self_test.check_model", fail)
    registry.promote("speech:2", "production")
    wait_for(lambda: models.describe("speech").refused is not None)
    facts = models.describe("speech")
    assert (facts.version, facts.refused.version, facts.refused.reason) == (1, 2, "it hums")
    registry.rollback("speech", "production")
    wait_for(lambda: models.describe("speech").refused is None)


def test_a_version_that_can_t_be_fetched_is_tried_again(registry, make_models, monkeypatch):
    models = make_models("speech@production")
    asked, get = [], PackageStore.get

    def fail_at_first(self, directory, content_hash):
        if threading.current_thread().name == "nacre-follow":
            asked.append(directory)
            if len(asked) < 3:
                raise RegistryError("the network is down")
        get(self, directory, content_hash)

    monkeypatch.setattr(PackageStore, "get", fail_at_first)
    registry.promote("speech:2", "production")
    wait_for(lambda: version_of(models) == 2)
    assert len(asked) == 3


def test_former_versions_decode_their_containers(registry, make_models):
    models = make_models("speech@production")
    registry.promote("speech:3", "production")
    wait_for(lambda: version_of(models) == 3)
    for version in (1, 2, 3, 1):
        directory = registry.show(f"speech:{version}").directory
        fingerprint = load_package(directory).package.short_fingerprint
        assert models.maker_of(fingerprint).version == version
    assert len(models._former) <= MAX_FORMER
    with pytest.raises(ModelMismatchError, match="not served here"):
        models.maker_of(b"\0" * 8)


def test_other_names_containers_are_not_decoded(registry, make_models, other_package):
    registry.register(other_package, "secret")
    models = make_models("speech@production")
    with pytest.raises(ModelMismatchError):
        models.maker_of(load_package(other_package).package.short_fingerprint)


def test_several_models_are_chosen_by_name_or_reference(registry, make_models, other_package):
    models = make_models("speech:2", str(other_package))
    assert [facts.name for facts in models.all()] == ["speech", "other"]
    assert models.choose(None).name == "speech"
    assert models.choose("speech:2").version == 2
    assert models.choose("other").version is None
    with pytest.raises(UnknownModelError, match="served are: speech, other"):
        models.choose("speech:1")


def test_two_of_one_name_are_refused(registry):
    with pytest.raises(UnknownModelError, match="two models are called 'speech'"):
        ServedModels(("speech:1", "speech:2")).load()


def test_a_model_that_gives_silence_fails_its_test(tmp_path):
    write_package(tmp_path / "p", tiny_codec(), metrics={}, lineage={})
    loaded = load_package(tmp_path / "p")
    loaded.codec.decoder.synthesis.register_forward_hook(lambda module, inputs, output: output * 0)
    with pytest.raises(PackageError, match="silent"):
        check_model(loaded)
    loaded = load_package(tmp_path / "p")
    loaded.codec.decoder.synthesis.register_forward_hook(lambda module, inputs, output: output / 0)
    with pytest.raises(PackageError, match="self-test"):
        check_model(loaded)
