"""Whether this is a machine, a virtual one, or an emulated one.

Without privilege there is no asking the hypervisor: the firmware's names, the kernel's flag of the CPU
and its clock sources are what shows. A guest of QEMU without KVM's clock is taken for emulated: its
speed is the emulator's, and a figure that is wrongly marked does less harm than one that is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict

#: What the firmware's names hold → hypervisor. The first that is found decides.
_FIRMWARE = (
    ("vmware", "vmware"),
    ("virtualbox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("parallels", "parallels"),
    ("bhyve", "bhyve"),
    ("apple virtualization", "apple"),
    ("xen", "xen"),
    ("kvm", "kvm"),
    ("openstack", "kvm"),
    ("google compute engine", "kvm"),
    ("amazon ec2", "kvm"),
    ("alibaba cloud", "kvm"),
    ("digitalocean", "kvm"),
    ("hetzner", "kvm"),
)

_DMI = ("sys_vendor", "product_name", "product_version", "bios_vendor", "board_vendor")


def product(top: Path) -> str:
    """Maker and model, as the firmware or the device tree says."""
    names = [_text(top, "sys/class/dmi/id/" + n) for n in ("sys_vendor", "product_name")]
    told = " ".join(n for n in names if n)
    return told or _text(top, "proc/device-tree/model") or _text(top, "sys/firmware/devicetree/base/model")


def virtualisation(top: Path, cpuinfo: Dict[str, str]) -> str:
    """ "" on bare metal, else kvm | qemu-tcg | qemu | xen | vmware | hyperv | …; ``unknown`` where a
    hypervisor shows itself and does not say which."""
    firmware = " ".join(_text(top, "sys/class/dmi/id/" + n) for n in _DMI).lower()
    clocks = _text(top, "sys/devices/system/clocksource/clocksource0/available_clocksource").split()
    # x86 has a flag for it; where it is missing the firmware's maker may be a cloud and the machine real
    x86 = "flags" in cpuinfo
    guest = not x86 or "hypervisor" in cpuinfo.get("flags", "").split()
    qemu = "qemu" in firmware or "bochs" in firmware or "qemu" in cpuinfo.get("model name", "").lower()
    if _is_tcg(cpuinfo):
        return "qemu-tcg"
    if qemu:
        return _of_qemu(firmware, clocks, x86)
    if not guest:
        return ""
    if "microsoft" in firmware and "virtual" in firmware:
        return "hyperv"
    for mark, name in _FIRMWARE:
        if mark in firmware and (x86 or name != "kvm" or "metal" not in firmware):
            return name
    told = _text(top, "sys/hypervisor/type") or _text(top, "proc/device-tree/hypervisor/compatible")
    if told:
        return told.split(",")[-1]
    if "kvm-clock" in clocks:
        return "kvm"
    if any(c.startswith("hyperv") for c in clocks):
        return "hyperv"
    return "unknown" if x86 else ""


def _is_tcg(cpuinfo: Dict[str, str]) -> bool:
    # the emulator's own processors: x86 `max` and arm `max`
    return "TCG" in cpuinfo.get("model name", "") or cpuinfo.get("CPU implementer") == "0x00"


def _of_qemu(firmware: str, clocks: "list[str]", x86: bool) -> str:
    if "kvm-clock" in clocks or "kvm virtual machine" in firmware:
        return "kvm"
    # arm guests use the same clock on both
    return "qemu-tcg" if x86 else "qemu"


def _text(top: Path, path: str) -> str:
    try:
        return (top / path).read_bytes().decode("utf-8", "replace").strip().strip("\0")
    except OSError:
        return ""
