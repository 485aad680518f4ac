"""The command line with options drawn at random: exit code 0, or 2 and one line that says why."""

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_minimal import cli
from tests.fuzz.outcome import fuzzing, outcome
from tests.fuzz.test_readers import damaged
from tests.models import NAMES, random_codi

pytestmark = pytest.mark.slow

VERBS = ["train", "evaluate", "judges", "experiment", "check"]  # `demo` has nothing but a seed and a folder
NUMBERS = ["0", "1", "-1", "2", "1e9", "9" * 30, "nan", "inf", "", "²", "0x10", "1.5", "$x$"]
WORDS = ["seven", "a red seven", "xyzzy", "", "$\\frac{ seven $", "sevén", "\udcff seven", "-", "x" * 5000, "seven\n"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("command-line")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(cli, "_model", lambda args: random_codi())


def run(*argv: str) -> list[str]:
    """What was printed; an exit with code 2 is raised as the ValueError that was said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(list(argv))
        except SystemExit as stop:
            code = stop.code
    if code == 2:
        assert err.getvalue().startswith("error: ") and err.getvalue().count("\n") == 1, err.getvalue()
        assert "unexpected" not in err.getvalue(), err.getvalue()  # an error that nobody has thought of
        raise ValueError(err.getvalue().strip())
    assert code == 0 and not err.getvalue(), (code, err.getvalue())
    return out.getvalue().splitlines()


OPTIONS = ["--guidance", "--seed", "--num", "--recipe", "--weights", "--sampler", "--steps", "--autocast", "--given"]
options = st.sampled_from(OPTIONS)


@fuzzing(40)
@given(
    texts=st.lists(st.sampled_from(WORDS), max_size=2),
    file=st.none() | st.none() | damaged(),
    to=st.lists(st.sampled_from([*NAMES, "text", "smell"]), min_size=1, max_size=2),
    odd=st.lists(
        st.tuples(options, st.sampled_from([*NUMBERS, "text=1", "text=nan", "text=two", "ddim", "paper", "bf16"])),
        max_size=1,
    ),
)
def test_generate(folder, texts, file, to, odd):
    argv = ["generate", "--out", str(folder / "ōut"), "--steps", "1", *(f"--text={text}" for text in texts)]
    if file is not None:
        path = folder / f"given{file[0]}"
        path.write_bytes(file[1])
        argv.append(f"--image={path}")
    argv += ["--to", *to, *(f"{option}={value}" for option, value in odd)]
    outcome("command line", lambda: run(*argv), lambda lines: None)


@fuzzing(100)
@given(verb=st.sampled_from(VERBS), data=st.data())
def test_other_verbs(folder, verb, data):
    names = ["--seed", "--steps", "--samples", "--cells", "--workers", "--device", "--preset", "--stages", "--further"]
    odd = st.tuples(st.sampled_from(names), st.sampled_from([*NUMBERS, "tiny", "joint", "cpu"]))
    argv = [verb, f"--data={folder / 'nowhere'}", *(["gap"] if verb == "experiment" else [])]
    argv += [f"{option}={value}" for option, value in data.draw(st.lists(odd, max_size=2))]

    def check(lines: list[str]) -> None:
        pytest.fail(f"expected {argv} to be refused: its data are not there")

    outcome("command line", lambda: run(*argv), check)
