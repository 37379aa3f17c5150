from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from orchestrator.bundle import build as subject
from orchestrator.bundle.digest import source_digest
from orchestrator.errors import BuildError, InputError, SetupError

pytestmark = pytest.mark.native


def test_a_bundle_holds_what_the_harness_says(tiny: Path, cache: Path) -> None:
    bundle = subject.build(tiny, ["release", "asan"])
    assert bundle.digest == source_digest(tiny)
    assert [v.name for v in bundle.variants] == ["release", "asan"]
    assert bundle.variant("release").static
    assert not bundle.variant("asan").static
    assert [b.name for b in bundle.benches] == ["tiny"]
    for v in bundle.variants:
        assert Path(v.file).is_relative_to(cache)
        assert Path(v.file).stat().st_mode & 0o777 == 0o755
        assert Path(v.file).stat().st_size == v.size
    assert subject.verify(bundle) == []


def test_the_second_call_does_nothing(tiny: Path, cache: Path, counted_cmake: Path) -> None:
    first = subject.build(tiny, ["release"])
    calls = counted_cmake.read_text()
    assert calls
    assert subject.build(tiny, ["release"]) == first
    assert counted_cmake.read_text() == calls


def test_a_change_of_the_source_is_built(tiny: Path, cache: Path) -> None:
    first = subject.build(tiny)
    main = tiny / "harness" / "main.c"
    main.write_text(main.read_text().replace("tiny", "other"))
    second = subject.build(tiny)
    assert second.digest != first.digest
    assert [b.name for b in second.benches] == ["other"]
    assert subject.verify(first) == [], "the older one is still there"


def test_a_damaged_cache_is_built_anew(tiny: Path, cache: Path) -> None:
    first = subject.build(tiny)
    harness = Path(first.variant("release").file)
    harness.write_bytes(b"damaged")
    assert subject.verify(first) == [f"release: {harness} has changed since it was built"]
    assert subject.verify(subject.build(tiny)) == []


def test_a_missing_file_is_said(tiny: Path, cache: Path) -> None:
    bundle = subject.build(tiny)
    harness = Path(bundle.variant("release").file)
    harness.unlink()
    assert subject.verify(bundle) == [f"release: {harness} is not there"]


def test_callers_at_the_same_time_build_it_once(tiny: Path, cache: Path, counted_cmake: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=subject.build, args=(tiny,)) for _ in range(4)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(120)
    assert [p.exitcode for p in processes] == [0, 0, 0, 0]
    assert counted_cmake.read_text().count("call") == 2, "one configuration and one compilation in all"
    assert subject.verify(subject.build(tiny)) == []


def test_a_compiler_error_is_shown_with_its_line(tiny: Path, cache: Path) -> None:
    (tiny / "harness" / "main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(BuildError) as caught:
        subject.build(tiny)
    assert caught.value.where == "variant release"
    assert "main.c:1" in caught.value.what
    assert "'nothing' undeclared" in caught.value.what
    log = Path(caught.value.hint.removeprefix("all of it: "))
    assert "'nothing' undeclared" in log.read_text()
    assert not [p for p in (cache / "build").iterdir() if p.is_dir()], "no build folder is left behind"


def test_a_mistake_in_cmake_is_a_build_error(tiny: Path, cache: Path) -> None:
    (tiny / "CMakeLists.txt").write_text("nonsense(\n")
    with pytest.raises(BuildError, match="CMake Error"):
        subject.build(tiny)


def test_a_harness_that_does_not_list_is_a_build_error(tiny: Path, cache: Path) -> None:
    (tiny / "harness" / "main.c").write_text("int main(void) { return 3; }\n")
    with pytest.raises(BuildError, match="cannot be run here"):
        subject.build(tiny)


def test_flags_of_the_environment_stay_out(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-no-such-flag")
    assert subject.verify(subject.build(tiny)) == []


@pytest.mark.parametrize("uid", [0, 1000])
def test_missing_tools_are_named_with_the_command(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("os.geteuid", lambda: uid)
    with pytest.raises(SetupError) as caught:
        subject.build(tiny)
    sudo = "sudo " if uid else ""
    assert caught.value.hint == f"{sudo}apt-get install -y cmake gcc libc6-dev make"
    assert [b.name for b in subject.catalogue(tiny)] == ["tiny"]
    assert subject.catalogue(tiny)[0].settings is None


def test_a_named_compiler_that_is_missing_is_an_error(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(SetupError, match="no-such-cc"):
        subject.build(tiny)


def test_the_catalogue_has_the_settings(tiny: Path, cache: Path) -> None:
    (bench,) = subject.catalogue(tiny)
    setting = bench.setting("ids")
    assert setting is not None
    assert (setting.default, setting.min, setting.max) == (7, 1, 9)


def test_the_catalogue_of_a_broken_source_has_names(tiny: Path, cache: Path) -> None:
    (tiny / "harness" / "main.c").write_text("broken")
    assert [b.name for b in subject.catalogue(tiny)] == ["tiny"]


def test_an_unknown_variant_is_refused_with_the_nearest(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"unknown variant 'relaese'.*release"):
        subject.build(tiny, ["relaese"])


def test_without_a_source_tree_and_an_installed_harness_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no native source tree"):
        subject.build(tmp_path / "native")


@pytest.fixture
def installed(tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    harness = tmp_path / "prebuilt" / "orch-harness"
    harness.parent.mkdir()
    harness.write_bytes(Path(subject.build(tiny).variant("release").file).read_bytes())
    harness.chmod(0o755)
    monkeypatch.setattr(subject, "PREBUILT", harness)
    return harness


def test_the_installed_harness_stands_in_for_a_missing_source(
    tiny: Path, installed: Path, tmp_path: Path
) -> None:
    bundle = subject.build(tmp_path / "native", ["release"])
    assert (bundle.source, bundle.digest) == ("", source_digest(tiny))
    assert bundle.variant("release").file == str(installed)
    assert [b.name for b in subject.catalogue(tmp_path / "native")] == ["tiny"]
    with pytest.raises(InputError, match="variant tsan needs the native source"):
        subject.build(tmp_path / "native", ["release", "tsan"])


def test_without_a_compiler_the_installed_harness_serves_only_its_own_source(
    tiny: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert subject.build(tiny).variant("release").file == str(installed)
    (tiny / "harness" / "bench_more.c").write_text("")
    with pytest.raises(SetupError):
        subject.build(tiny)


def test_a_cache_that_cannot_be_made_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ORCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SetupError, match="ORCH_CACHE"):
        subject.build(tiny)


def test_blobs_are_the_agent_and_the_variants_by_content(tiny: Path, cache: Path) -> None:
    bundle = subject.build(tiny)
    agent, release = subject.blobs(bundle)
    assert agent.name == "agent"
    assert agent.path.name == f"{agent.sha256}.pyz"
    assert (release.name, release.sha256) == ("release", bundle.variant("release").sha256)
