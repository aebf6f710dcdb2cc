"""The questions to NVML, each with its answer or its error. Names and codes are from nvml.h."""

from typing import Any, Callable, Dict, List

Answer = Dict[str, Any]

NOT_FOUND = 6
_UNCORRECTED, _VOLATILE = 1, 0
_FABRIC_COMPLETED = 3
_MAX_MIG_DEVICES = 64


class Asker:
    """Asks through the module pynvml; ``note`` gets what is known before each device."""

    def __init__(self, pynvml: Any, note: Callable[[Answer], None]) -> None:
        self.nvml = pynvml
        self.note = note

    def ask(self, found: Answer) -> None:
        """Fill in what NVML says about the system and about every GPU."""
        started = self._value(self.nvml.nvmlInit)
        if isinstance(started, dict):
            found["init"] = started
            return
        found["driver_version"] = self._text(self.nvml.nvmlSystemGetDriverVersion)
        found["cuda_driver_version"] = self._cuda()
        found["devices"] = []
        count = self._value(self.nvml.nvmlDeviceGetCount)
        if isinstance(count, dict):
            found["init"] = count
            return
        for index in range(count):
            self.note(found)
            found["devices"].append(self._device(index))

    def _value(self, question: Callable[..., Any], *given: Any) -> Any:
        """Return an answer, else ``{"error": code, "message": text}``."""
        try:
            return question(*given)
        except self.nvml.NVMLError as error:
            return {"error": int(error.value), "message": self._words(error)}

    def _words(self, error: Any) -> str:
        """Return NVML's own text for an error; pynvml has another text for some."""
        try:
            text = self.nvml.nvmlErrorString(error.value)
        except self.nvml.NVMLError:
            text = str(error)
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)

    def _text(self, question: Callable[..., Any], *given: Any) -> Any:
        value = self._value(question, *given)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def _cuda(self) -> Any:
        value = self._value(self.nvml.nvmlSystemGetCudaDriverVersion)
        if isinstance(value, dict):
            return None
        return f"{value // 1000}.{value % 1000 // 10}"

    def _device(self, index: int) -> Answer:
        found: Answer = {"index": index}
        handle = self._value(self.nvml.nvmlDeviceGetHandleByIndex, index)
        if isinstance(handle, dict):
            found.update(handle)
            return found
        for key, question in self._known(handle).items():
            value = question()
            if key in ("bdf", "minor", "name", "uuid") and isinstance(value, dict):
                continue
            found[key] = value
        return found

    def _known(self, handle: Any) -> Dict[str, Callable[[], Any]]:
        nvml = self.nvml
        return {
            "uuid": lambda: self._text(nvml.nvmlDeviceGetUUID, handle),
            "name": lambda: self._text(nvml.nvmlDeviceGetName, handle),
            "bdf": lambda: self._bdf(handle),
            "minor": lambda: self._value(nvml.nvmlDeviceGetMinorNumber, handle),
            "memory": lambda: self._memory(handle),
            "ecc_uncorrected": lambda: self._value(
                nvml.nvmlDeviceGetTotalEccErrors, handle, _UNCORRECTED, _VOLATILE
            ),
            "remapped_rows": lambda: self._remapped(handle),
            "mig": lambda: self._mig(handle),
            "mig_devices": lambda: self._mig_devices(handle),
            "fabric": lambda: self._fabric(handle),
        }

    def _bdf(self, handle: Any) -> Any:
        info = self._value(self.nvml.nvmlDeviceGetPciInfo, handle)
        if isinstance(info, dict):
            return info
        bus = info.busId
        return bus.decode("ascii", "replace") if isinstance(bus, bytes) else bus

    def _memory(self, handle: Any) -> Answer:
        info = self._value(self.nvml.nvmlDeviceGetMemoryInfo, handle)
        return info if isinstance(info, dict) else {"total": int(info.total)}

    def _remapped(self, handle: Any) -> Answer:
        rows = self._value(self.nvml.nvmlDeviceGetRemappedRows, handle)
        if isinstance(rows, dict):
            return rows
        correctable, uncorrectable, pending, failed = rows
        return {
            "correctable": correctable,
            "uncorrectable": uncorrectable,
            "pending": bool(pending),
            "failed": bool(failed),
        }

    def _mig(self, handle: Any) -> Answer:
        modes = self._value(self.nvml.nvmlDeviceGetMigMode, handle)
        return modes if isinstance(modes, dict) else {"current": modes[0], "pending": modes[1]}

    def _mig_devices(self, handle: Any) -> List[Answer]:
        nvml = self.nvml
        count = self._value(nvml.nvmlDeviceGetMaxMigDeviceCount, handle)
        found: List[Answer] = []
        for index in range(0 if isinstance(count, dict) else min(count, _MAX_MIG_DEVICES)):
            device = self._value(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
            if isinstance(device, dict):
                if device["error"] != NOT_FOUND:
                    found.append(dict(device, index=index))
                continue
            name = self._text(nvml.nvmlDeviceGetName, device)
            uuid = self._text(nvml.nvmlDeviceGetUUID, device)
            found.append({"index": index, "uuid": uuid, "name": name})
        return found

    def _fabric(self, handle: Any) -> Answer:
        info = self.nvml.c_nvmlGpuFabricInfo_t()
        failed = self._value(self.nvml.nvmlDeviceGetGpuFabricInfo, handle, info)
        if isinstance(failed, dict):
            return failed
        found: Answer = {"state": int(info.state)}
        if found["state"] == _FABRIC_COMPLETED:
            found["status"] = int(info.status)
        return found
