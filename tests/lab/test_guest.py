"""Guests: their archive, their shape, and what is read from their console. One is booted in tests/native."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from orchestrator.errors import InputError, SetupError
from orchestrator.lab import guest, initramfs
from orchestrator.lab.guest import Done, Shape


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Path → mode and content, by the published layout: thirteen numbers of eight hex digits behind the magic ones."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        magic, numbers = struct.unpack_from("6s104s", archive, at)
        assert magic == b"070701"
        _, mode, *_, size, _, _, _, _, name_size, _ = (int(numbers[i : i + 8], 16) for i in range(0, 104, 8))
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        begin = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, archive[begin : begin + size])
        at = (begin + size + 3) // 4 * 4


def test_an_archive_holds_the_files_and_the_folders_that_they_lie_in() -> None:
    files = {"init": b"first", "lib/x86_64/libc.so.6": b"\x7fELF!", "orders": b""}
    archive = initramfs.pack(files)
    assert archive == initramfs.pack(dict(reversed(files.items())))
    found = unpack(archive)
    assert list(found) == ["lib", "lib/x86_64", "init", "lib/x86_64/libc.so.6", "orders"]
    assert {name: content for name, (_, content) in found.items() if content} == {
        "init": b"first",
        "lib/x86_64/libc.so.6": b"\x7fELF!",
    }
    assert [oct(mode) for mode, _ in found.values()] == ["0o40755"] * 2 + ["0o100755"] * 3


def test_a_link_and_the_time_of_a_file_are_in_an_archive() -> None:
    archive = initramfs.pack({"usr/bin/a": b"x"}, {"bin": "usr/bin"}, {"usr/bin/a": 7})
    assert unpack(archive)["bin"] == (0o120777, b"usr/bin")
    assert (
        archive.count(b"00000007")
        == initramfs.pack({"usr/bin/a": b"x"}, {"bin": "usr/bin"}).count(b"00000007") + 1
    )


def test_a_program_brings_the_libraries_that_it_names() -> None:
    program = Path("/bin/sh").resolve()
    files = initramfs.with_libraries([program])
    assert files.pop(f"bin/{program.name}") == program.read_bytes()
    assert any(name.endswith("/libc.so.6") for name in files)
    assert any(Path(name).name.startswith("ld-linux") for name in files)
    assert all(content.startswith(b"\x7fELF") for content in files.values())


def test_a_shape_has_the_same_number_of_cpus_on_each_node_of_a_ring() -> None:
    shape = Shape.parse("16x4")
    assert [list(shape.cpus_of(node)) for node in (0, 3)] == [[0, 1, 2, 3], [12, 13, 14, 15]]
    assert [shape.distance(0, node) for node in range(4)] == [10, 21, 32, 21]
    assert Shape(64, 64).distance(0, 32) == 254
    assert [Shape.parse(text).text for text in ("16x4", "16x4x1", "16x4x2")] == ["16x4", "16x4", "16x4x2"]
    assert str(Shape.parse("16x4x2")) == "16 CPUs on 4 nodes, two to a core"


@pytest.mark.parametrize(
    "text",
    [
        "16",
        "16x",
        "x4",
        "16x4x",
        "16x4x3",
        "16x4x0",
        "4x4x2",
        "16x3",
        "0x0",
        "16x0",
        "512x2",
        "130x65",
        "-4x2",
        "",
    ],
)
def test_what_is_no_shape_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Shape.parse(text)
    assert "\n" not in str(refused.value)


def test_the_emulator_is_told_of_every_node_and_every_distance() -> None:
    argv = guest.command(Shape(8, 2, 1024), Path("/k"), Path("/a"), kvm=False)
    assert "node,nodeid=1,cpus=4-7,memdev=memory1" in argv
    assert "memory-backend-ram,id=memory0,size=512M" in argv
    assert [word for word in argv if word.startswith("dist,")] == [
        "dist,src=0,dst=1,val=21",
        "dist,src=1,dst=0,val=21",
    ]
    assert "tcg,thread=multi" in argv
    assert "8,sockets=2,cores=4,threads=1" in argv
    assert "kvm" in guest.command(Shape(2, 1), Path("/k"), Path("/a"), kvm=True)
    assert "8,sockets=2,cores=2,threads=2" in guest.command(
        Shape.parse("8x2x2"), Path("/k"), Path("/a"), kvm=False
    )


def test_a_console_is_taken_apart_by_its_marks() -> None:
    text = "[0.1] boot\r\n::guest ready\r\n::guest begin 0\r\nhello\r\nthere\r\n\n::guest end 0 0\r\n"
    text += "::guest begin 1\r\n\n::guest end 1 139\r\n::guest begin 2\r\nhalf a li"
    assert guest.read_console(text, 4) == [
        Done(0, "hello\nthere"),
        Done(139, ""),
        Done(None, "half a li"),
        Done(None, ""),
    ]


def test_without_what_a_guest_needs_the_one_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(guest.KERNEL_VARIABLE, str(tmp_path / "vmlinuz"))
    assert guest.lacking() == ["qemu-system-x86"]
    with pytest.raises(SetupError, match="apt-get install -y --no-install-recommends qemu-system-x86"):
        guest.kernel()


def test_an_order_that_cannot_be_written_down_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "kernel", lambda: tmp_path / "vmlinuz")
    init = tmp_path / "init"
    init.write_bytes(b"")
    for argument in ("a\tb", "a\nb"):
        with pytest.raises(ValueError, match="tab"):
            guest.run(Shape(2, 1), init, {}, [["/x", argument]], tmp_path, limit_s=1)
