import json
import os

import pytest

from reviewlib.book import pairing

TEXT = """# %% [markdown]
# # Title
#
# A formula, $x^2$.

# %% tags=["parameters"]
preset = "quick"

# %% mystnb={"image": {"alt": "a line"}}
def double(x):
    return 2 * x


double(3)

# %%
double(3)

# %%
double(3)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.py").write_text(TEXT)
    pairing.write(tmp_path)
    return tmp_path


def test_text_survives_the_way_through_the_notebook():
    notebook = pairing.to_ipynb(TEXT)
    assert pairing.to_py(notebook) == TEXT
    assert pairing.to_ipynb(pairing.to_py(notebook)) == notebook


def test_notebook_is_a_function_of_the_text_alone():
    first, second = pairing.to_ipynb(TEXT), pairing.to_ipynb(TEXT)
    assert first == second
    cells = json.loads(first)["cells"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids) == 5  # two cells have the same content
    other = json.loads(pairing.to_ipynb(TEXT.replace("double(3)\n\n# %%\n", "double(4)\n\n# %%\n")))
    assert other["cells"][0]["id"] == ids[0]


def test_outputs_and_volatile_metadata_reach_neither_side():
    notebook = json.loads(pairing.to_ipynb(TEXT))
    cell = notebook["cells"][1]
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "secret"}]
    cell["execution_count"] = 7
    cell["metadata"] |= {"trusted": True, "execution": {"iopub.status.busy": "now"}}
    notebook["metadata"]["kernelspec"]["name"] = "my-own-environment"
    text = pairing.to_py(json.dumps(notebook))
    assert text == TEXT


def test_write_touches_only_what_changed(folder):
    assert pairing.check(folder) == []
    assert pairing.write(folder) == []
    (folder / "a.py").write_text(TEXT.replace("quick", "laptop"))
    assert pairing.write(folder) == [folder / "a.ipynb"]
    assert pairing.check(folder) == []


@pytest.mark.parametrize("newer", ["a.py", "a.ipynb"])
def test_the_times_of_files_decide_nothing(newer, folder):
    def date_sides():
        for side in ("a.py", "a.ipynb"):
            os.utime(folder / side, (9e8, 9e8 + (side == newer)))

    date_sides()
    assert pairing.check(folder) == [] and pairing.write(folder) == []
    edited = TEXT.replace("quick", "laptop")
    (folder / "a.py").write_text(edited)
    date_sides()
    assert "a.ipynb is not what a.py gives" in pairing.check(folder)[0]
    assert pairing.write(folder) == [folder / "a.ipynb"]
    assert (folder / "a.py").read_text() == edited
    assert (folder / "a.ipynb").read_text() == pairing.to_ipynb(edited)


def test_check_names_every_kind_of_disagreement(folder):
    (folder / "a.py").write_text(TEXT.replace("quick", "laptop"))
    assert "a.ipynb is not what a.py gives" in pairing.check(folder)[0]
    (folder / "a.py").unlink()
    assert "a.ipynb has no a.py" in pairing.check(folder)[0]
    (folder / "a.ipynb").unlink()
    (folder / "b.py").write_text(TEXT)
    assert "b.py has no b.ipynb" in pairing.check(folder)[0]
    (folder / "b.py").write_text(TEXT.replace("# %%\ndouble", "#%%\ndouble"))
    pairing.write(folder)
    assert "b.py is not in normal form" in pairing.check(folder)[0]


def test_pull_takes_over_an_edited_notebook_with_its_outputs(folder):
    path = folder / "a.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["source"] = 'preset = "gpu"'
    notebook["cells"][1]["execution_count"] = 3
    path.write_text(json.dumps(notebook))
    pairing.pull(path)
    assert 'preset = "gpu"' in (folder / "a.py").read_text()
    assert pairing.check(folder) == []
    assert json.loads(path.read_text())["cells"][1]["execution_count"] is None


def test_pull_takes_the_notebook_and_never_rewrites_a_text_it_was_given(tmp_path):
    text = tmp_path / "a.py"
    text.write_text(TEXT)
    pairing.write(tmp_path)
    text.write_text(TEXT + "\n# an edit\n")
    with pytest.raises(ValueError, match=r"a notebook ends in \.ipynb, got .*a\.py"):
        pairing.pull(text)
    assert text.read_text().endswith("# an edit\n")


# What must not be lost


def edited(folder, change):
    """Change the notebook as Jupyter does, which keeps the cells' identifiers."""
    path = folder / "a.ipynb"
    notebook = json.loads(path.read_text())
    change(notebook["cells"])
    path.write_text(json.dumps(notebook))
    return path


def test_a_pasted_picture_is_not_pulled_away(folder):
    picture = {"image.png": {"image/png": "aGVsbG8="}}
    path = edited(folder, lambda cells: cells[0].update(attachments=picture))
    before = [(folder / side).read_text() for side in ("a.py", "a.ipynb")]
    with pytest.raises(ValueError, match=r"a\.ipynb: cell 1 would lose or change its attachments"):
        pairing.pull(path)
    assert [(folder / side).read_text() for side in ("a.py", "a.ipynb")] == before
    assert "a.ipynb was edited, and a.py does not have the edit" in pairing.problem(folder, "a")
    with pytest.raises(ValueError, match="was edited"):
        pairing.write(folder)


def test_a_cell_with_a_line_that_starts_a_cell_stays_one_cell(folder):
    source = 'a = """\n# %% [markdown]\n"""'
    path = edited(folder, lambda cells: cells[1].update(source=source))
    pairing.pull(path)
    cells = json.loads(path.read_text())["cells"]
    assert len(cells) == 5 and "".join(cells[1]["source"]) == source


def test_an_edit_of_the_notebook_is_not_overwritten_unless_somebody_insists(folder):
    path = edited(folder, lambda cells: cells[3].update(source="double(4)"))
    (folder / "b.py").write_text(TEXT)
    keep = "a.ipynb was edited, and a.py does not have the edit: run `reviewlib pair --pull "
    with pytest.raises(ValueError, match=keep):
        pairing.write(folder)
    assert not (folder / "b.ipynb").exists()  # nothing is written
    assert pairing.problem(folder, "a").startswith(keep)
    assert "double(4)" in path.read_text()
    assert pairing.write(folder, force=True) == [path, folder / "b.ipynb"]
    assert pairing.check(folder) == [] and "double(4)" not in path.read_text()


def test_a_notebook_that_was_only_run_is_written_again(folder):
    path = edited(folder, lambda cells: cells[3].update(execution_count=3, outputs=[]))
    assert pairing.problem(folder, "a") == "a.ipynb is not what a.py gives: run `reviewlib pair`"
    assert pairing.write(folder) == [path]


def test_a_notebook_with_the_marks_of_a_merge_is_named(folder):
    path = folder / "a.ipynb"
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    why = "a.ipynb: must be a notebook, and it has the marks of a merge conflict: resolve or"
    assert pairing.problem(folder, "a").startswith(why)
    with pytest.raises(ValueError, match=why):
        pairing.pull(path)


def test_the_mark_that_some_editors_put_first_is_no_content(folder):
    for side in ("a.py", "a.ipynb"):
        (folder / side).write_text((folder / side).read_text(), encoding="utf-8-sig")
    assert pairing.check(folder) == [] and pairing.write(folder) == []
    pairing.pull(folder / "a.ipynb")
    assert (folder / "a.py").read_text() == TEXT
