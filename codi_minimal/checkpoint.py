"""Weights on disk: safetensors and JSON, never a pickle, and never an incomplete file."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FORMAT_VERSION = 2  # 1: earlier versions, whose prompts were moved by a further step that is gone
WEIGHTS, CONFIG = "model.safetensors", "config.json"
PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"}
FILLS = (Tensor.zero_, Tensor.fill_, Tensor.uniform_, Tensor.normal_)  # of the functions of nn.init some end in these
MOST_LISTED = 20  # names of a kind, in an error
MAX_JSON = 1 << 26  # bytes; Python needs many times as much memory to read them


@contextmanager
def name_in_error(path: Path) -> Iterator[None]:
    """Adds the file's name to an OSError inside the block. An OSError of writing, such as a full disk, has none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def atomic_write(path: Path, data: bytes) -> None:
    """Replaces a file at once: at any moment, and after any crash, it is either the old one or the new one."""
    # of this call alone, so that two processes never mix bytes; `lock.remove_leftovers` knows such names
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with name_in_error(path), open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may keep the new name and lose the content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # it is there only if something failed


def check_file(path: Path, what: str, most: int | None = None) -> None:
    """ValueError unless it is an ordinary file of at most `most` bytes: a pipe blocks, and a device may never end."""
    if not path.is_file():
        raise ValueError(f"expected {what}; {path} {'is no ordinary file' if path.exists() else 'does not exist'}")
    if most is not None and (size := path.stat().st_size) > most:
        raise ValueError(f"expected {what} of at most {most:,} bytes; {path} has {size:,}")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes tensors of any device, layout or sharing as one safetensors file, atomically."""
    # clones: safetensors refuses two names for one storage, and views of it
    plain = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    atomic_write(path, safetensors.torch.save(plain, metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file to the CPU: its tensors, and its metadata. Anything else is a ValueError."""
    check_file(path, "a safetensors file")
    with open(path, "rb") as file:
        start = file.read(9)  # the header's length in 8 bytes, and its brace
    pickled = start[8:] != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80")
    if pickled or path.suffix in PICKLES:
        raise ValueError(f"expected safetensors; {path} is a pickle, which can run code when it is read")
    try:
        with safe_open(path, "pt") as file:
            # clones: the tensors would otherwise be views of the file, which may change under them
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"expected whole safetensors; {path} is cut short or corrupt ({error})") from error
    # torch can convert and compare only some of these
    if small := [name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.element_size() < 2]:
        raise ValueError(f"expected numbers of at least 16 bits in {path}; {', '.join(small)} has fewer")
    return tensors, metadata


def save_folder(folder: str | Path, tensors: Mapping[str, Tensor], config: dict, dtype: str | None = None) -> None:
    """Writes a checkpoint, model.safetensors and config.json, into a folder, which is made if it is missing.

    `dtype`: None keeps each tensor's; "float16" halves the size of those of floating point. ValueError: another dtype,
    or a number that is not finite in float16 (or in float32, if `dtype` is None).
    """
    if dtype not in (None, "float16"):
        raise ValueError(f"expected dtype None or 'float16'; got {dtype!r}")
    kind = torch.float16 if dtype else torch.float32
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.to(kind).isfinite().all():
            raise ValueError(f"expected finite numbers within ±{torch.finfo(kind).max:g}; {name} has others")
    tensors = {k: v.half() if dtype and v.is_floating_point() else v for k, v in tensors.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, "config": config}, indent=2, ensure_ascii=False)
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_tensors(Path(folder, WEIGHTS), tensors)
    atomic_write(Path(folder, CONFIG), f"{text}\n".encode())


def load_folder(folder: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Reads what `save_folder` wrote: tensors (floating point ones as float32, on the CPU) and config.

    ValueError: the folder or a file is missing, broken, a pickle, or of another format version.
    """
    folder = Path(folder)
    if not folder.is_dir() and folder.suffix not in PICKLES:
        raise ValueError(f"expected a folder with {WEIGHTS} and {CONFIG}; {folder} is no folder")
    weights, pickles = folder / WEIGHTS, [path for path in (folder, *folder.glob("*")) if path.suffix in PICKLES]
    stored, _ = read_tensors(weights if weights.exists() or not pickles else min(pickles))  # it refuses pickles by name
    content = read_json(folder / CONFIG)
    version, config = content.get("format_version"), content.get("config")
    if version != FORMAT_VERSION:
        raise ValueError(f"expected format_version {FORMAT_VERSION} in {folder / CONFIG}; got {version!r}")
    if not isinstance(config, dict):
        raise ValueError(f"expected an object named config in {folder / CONFIG}; got {config!r}")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}, config


def read_json(path: Path) -> dict:
    """One JSON object from a file; ValueError if there is no such file, it is too large, or it holds something else."""
    check_file(path, "a JSON file", MAX_JSON)
    return parse_json(path.read_bytes(), path)


def parse_json(text: str | bytes, path: Path) -> dict:
    """One JSON object from `text`, which was read from `path`; ValueError if it is broken or something else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
        raise ValueError(f"expected JSON; {path} is broken ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object in {path}; got a {type(content).__name__}")
    return content


def check_named(shapes: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str = "the module") -> None:
    """Compares tensors with those of a module, which may lie on "meta": names, shapes, and kinds of numbers.

    Floating point numbers may have more or fewer bits than the module's. All others must have its type. A ValueError
    lists the first names that are missing, unexpected, of another shape or kind, or not finite.
    """
    odd = {"missing": shapes.keys() - tensors.keys(), "unexpected": tensors.keys() - shapes.keys()}
    problems = [f"{how}: {_some(sorted(names))}" for how, names in odd.items() if names]
    for k, a, b in ((k, shapes[k], tensors[k]) for k in shapes if k in tensors):
        if a.shape != b.shape:
            problems.append(f"of another shape: {k} (expected {tuple(a.shape)}, got {tuple(b.shape)})")
        elif a.dtype != b.dtype and not (a.is_floating_point() and b.is_floating_point()):
            problems.append(f"of another kind: {k} (expected {a.dtype}, got {b.dtype})")
        elif not b.to(a.dtype).isfinite().all():
            problems.append(f"not finite: {k}")
    if problems:
        raise ValueError(f"expected the tensors of {what}; {_some(problems, '; ')}")


def _some(names: Sequence[str], between: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return between.join(names[:MOST_LISTED]) + more


@torch.no_grad()
def copy_named(target: Mapping[str, Tensor], source: Mapping[str, Tensor], what: str = "the module") -> None:
    """Copies tensors by name, if `check_named` finds nothing wrong; targets keep device, dtype and memory layout."""
    check_named(target, source, what)
    for name, tensor in source.items():
        target[name].copy_(tensor)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Loads a whole state into a module, in place, on any device; errors as of `check_named`."""
    copy_named(module.state_dict(), tensors, type(module).__name__)


def fingerprint(model: nn.Module) -> str:
    """Eight hexadecimal digits that tell one model's weights from another's: a name for what was made with them."""
    return digest(model.state_dict())


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Eight hexadecimal digits that identify named tensors, whatever their order, devices and memory layouts."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(name.encode())
        sha.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
    return sha.hexdigest()[:8]


def local_folder(folder: str | Path) -> Path:
    """A folder as it is, or the download of a hub id of the form "user/name".

    If the first part is an existing folder, the name is a folder's, so that a mistyped name never asks the hub.
    """
    if not isinstance(folder, (str, Path)):
        raise ValueError(f"expected a folder or a hub id, got {folder!r}")
    path = Path(folder)
    if path.exists() or path.parent.is_dir():
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(folder), allow_patterns=[WEIGHTS, CONFIG, "README.md"]))
    except Exception as error:  # the hub has many kinds of errors, and all mean that there is no such checkpoint
        came = " ".join(str(error).split())  # some have several lines
        raise ValueError(f"expected a folder or a hub id that can be reached, got {str(folder)!r}: {came}") from error


class Uninitialised(TorchFunctionMode):
    """Inside the block weights get no first values, because they are to be loaded, and `torch.randn` draws nothing.

    Memory that is never written to takes no room on Linux and macOS. So a damaged config that asks for huge weights can
    be compared with the file before anything is written.
    """

    def __torch_function__(self, f, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        first = args[0] if args else kwargs.get("tensor")
        fills = f in FILLS or getattr(f, "__module__", None) == nn.init.__name__
        if fills and isinstance(first, nn.Parameter):
            return first
        return (torch.empty if f is torch.randn else f)(*args, **kwargs)
