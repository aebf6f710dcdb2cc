"""Templates of commands: where a placeholder may stand, and how its value is quoted there."""

from __future__ import annotations

import re

import pytest

from pytest_gpu.steps import read_step
from pytest_gpu.text.shell import Command, command, with_input
from pytest_gpu.text.shell_places import places


@pytest.mark.parametrize(
    ("template", "value", "line"),
    [
        ("ls {x}", "/etc/cdi/nvidia.yaml", "ls /etc/cdi/nvidia.yaml"),
        ("ls {x}", "a b", "ls 'a b'"),
        ("ls {x}", "it's", "ls 'it'\"'\"'s'"),
        ("ls {x}", "", "ls ''"),
        ("ls {x}", "-rf", "ls ./-rf"),
        ("ls -- {x}{x}", "-r", "ls -- ./-r-r"),
        ("ls --path={x}", "-rf", "ls --path=-rf"),
        ("ls /a/{x}/b", "$(id)", "ls /a/'$(id)'/b"),
        ("grep '\"{x}\"' f", "a'b", "grep '\"a'\\''b\"' f"),
        ("grep '{x}' f", "-e", "grep './-e' f"),
        ("sudo {x} --version", "LD_PRELOAD=x", "sudo ./LD_PRELOAD=x --version"),
        ("kubectl get pods -l {x}", "app=a", "kubectl get pods -l app=a"),
        ('ls /x | grep -A5 \\"{x}\\"', "a*", "ls /x | grep -A5 \\\"'a*'\\\""),
        ("grep 'a$' {x}", "~", "grep 'a$' '~'"),
        ("ssh {x} uptime", "-oProxyCommand=id", "ssh ./-oProxyCommand=id uptime"),
        ("sudo sh -c 'cat \"$1\"' sh {x}", "`id`", "sudo sh -c 'cat \"$1\"' sh '`id`'"),
    ],
)
def test_a_value_is_quoted_by_its_place(template: str, value: str, line: str) -> None:
    """As little as the shell needs."""
    assert command(template, x=value) == line


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ('grep "{x}" f', "{x} stands in double quotes; use single ones, or none"),
        ("ls $(dirname {x})/*", "nothing can be filled in safely beside $("),
        ('ls "$(dirname {x})"', "nothing can be filled in safely beside $("),
        ("ls `dirname {x}`", "nothing can be filled in safely beside `"),
        ("cat <<EOF\n{x}\nEOF", "nothing can be filled in safely beside <<"),
        ("echo $(( {x} + 1 ))", "nothing can be filled in safely beside $("),
        ("echo $'a{x}'", "nothing can be filled in safely beside $'"),
        ("echo ${HOME} {x}", "nothing can be filled in safely beside ${"),
        ("ls   # as in {x}", "{x} stands in a comment"),
        ("ls \\{x}", "a placeholder stands after a backslash"),
        ("sed -i 's/a/{x}/' f", "{x} stands in quotes of a program that runs them"),
        ("sudo nsenter -t 1 -m -- sh -c 'ls {x}'", "{x} stands in quotes of a program that runs"),
        ("kubectl exec p -- bash -c {x}", "{x} is read by another shell or program once more"),
        ("ssh host ls {x}", "{x} is read by another shell or program once more"),
        ("eval ls {x}", "{x} is read by another shell or program once more"),
        ("ls '{x}", "a ' is not closed"),
        ('ls "a {y}', "{y} stands in double quotes"),
        ('ls {x} "a', 'a " is not closed'),
    ],
)
def test_a_placeholder_that_cannot_be_quoted_is_refused(template: str, says: str) -> None:
    """When the cause is read, not when it is reported."""
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        read_step({"node": template})


def test_words_and_files_are_no_commands() -> None:
    """Nobody types them into a shell."""
    assert read_step('Set "{x}" to `{y}`:')
    assert read_step({"file": 'a: "{x}"'})


def test_what_another_shell_expands_is_left_alone() -> None:
    """A command without placeholders may be anything."""
    text = "for f in $(ls); do sed -i \"s/a/b/\" `basename $f`; done <<'EOF'\n${HOME}\nEOF"
    assert places(text) == ()
    assert command(text) == text


def test_several_words() -> None:
    """Each is quoted for itself."""
    assert command("ls {x}", x=["a", "b c", "-d"]) == "ls a 'b c' ./-d"
    with pytest.raises(ValueError, match="several words: it must be a word by itself"):
        command("ls /{x}", x=["a", "b"])


def test_commands_stand_for_themselves() -> None:
    """But text that is made of one is text again."""
    inner = command("sudo ls {x}", x="a b")
    assert command("{line} | wc", line=inner) == "sudo ls 'a b' | wc"
    assert command("{line} | wc", line=f"{inner} -l") != "sudo ls 'a b' -l | wc"
    with pytest.raises(ValueError, match="is a command: it must be a word by itself"):
        command("echo '{line}'", line=inner)


def test_a_here_document_ends_with_a_word_that_it_does_not_contain() -> None:
    """Whatever stands in the text."""
    line = with_input(command("cat"), "EOF\nid")
    assert line == "cat <<'EOFF'\nEOF\nid\nEOFF"
    assert isinstance(line, Command)
