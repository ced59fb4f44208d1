"""One answer for all photos of an encounter, by hand."""

import numpy as np
import pandas as pd
import pytest

from finprint.bundle.encounters import COLUMNS, joint_answers


def _answers(photos: dict[str, dict[str, float]], score: float = 0.5) -> pd.DataFrame:
    """A table `ANSWERS` from the probability of each name, by photo."""
    rows = [
        (photo, rank, name, score / rank, chance)
        for photo, names in photos.items()
        for rank, (name, chance) in enumerate(names.items(), 1)
    ]
    return pd.DataFrame(rows, columns=["query", "rank", "identity", "score", "probability"])


def test_two_photos_by_hand() -> None:
    """Two photos count as 2 / 1.5 of one, so each has the exponent 2/3. Of ten individuals and a new one, eight share
    what the three answers leave."""
    answers = _answers(
        {
            "1.jpg": {"ann": 0.6, "new_individual": 0.2, "bob": 0.1},
            "2.jpg": {"ann": 0.5, "cat": 0.3, "new_individual": 0.1},
        }
    )
    encounters = pd.Series({"1.jpg": "e", "2.jpg": "e"})
    joint = joint_answers(answers, encounters, 10)
    rest = 0.1 / 8
    powers = {
        "ann": (0.6 * 0.5) ** (2 / 3),
        "new_individual": (0.2 * 0.1) ** (2 / 3),
        "bob": (0.1 * rest) ** (2 / 3),
        "cat": (rest * 0.3) ** (2 / 3),
    }
    total = sum(powers.values()) + 7 * (rest * rest) ** (2 / 3)
    assert list(joint.columns) == COLUMNS
    (row,) = joint.to_dict("records")
    assert (row["encounter"], row["photos"]) == ("e", 2)
    expected = sorted(powers, key=lambda name: -powers[name])
    assert [row[f"name_{n}"] for n in range(1, 5)] == expected
    assert [row[f"probability_{n}"] for n in range(1, 5)] == pytest.approx([powers[n] / total for n in expected])
    assert pd.isna(row["name_5"])


def test_photos_judged_together_count_as_one() -> None:
    """Each has the exponent 1/2, so two of one mind say what each of them says."""
    names = {"ann": 0.5, "bob": 0.2, "new_individual": 0.1, "cat": 0.05, "dan": 0.05}
    answers, encounters = _answers({"1.jpg": names, "2.jpg": names}), pd.Series({"1.jpg": "e", "2.jpg": "e"})
    joint = joint_answers(answers, encounters, 30, together=True)
    assert [joint[f"probability_{n}"][0] for n in range(1, 6)] == pytest.approx(list(names.values()))


def test_one_photo_keeps_its_answers() -> None:
    names = {"ann": 0.5, "bob": 0.2, "new_individual": 0.1, "cat": 0.05, "dan": 0.05}
    joint = joint_answers(_answers({"1.jpg": names}), pd.Series({"1.jpg": "e"}), 30)
    assert [joint[f"name_{n}"][0] for n in (1, 2, 3)] == ["ann", "bob", "new_individual"]
    assert [joint[f"probability_{n}"][0] for n in range(1, 6)] == pytest.approx(list(names.values()))


def test_more_photos_of_one_mind_are_surer_but_not_as_sure_as_independent_ones() -> None:
    names = {"ann": 0.6, "bob": 0.3, "new_individual": 0.05}
    sure = []
    for count in (1, 2, 10):
        photos = {f"{n}.jpg": names for n in range(count)}
        joint = joint_answers(_answers(photos), pd.Series(dict.fromkeys(photos, "e")), 20)
        sure.append(joint["probability_1"][0])
    assert sure[0] < sure[1] < sure[2] < 0.6**2 / (0.6**2 + 0.3**2 + 0.05**2)


def test_photos_without_an_encounter_and_without_probabilities() -> None:
    answers = _answers({"1.jpg": {"ann": np.nan, "bob": np.nan}, "2.jpg": {"bob": np.nan, "cat": np.nan}})
    joint = joint_answers(answers, pd.Series({"1.jpg": "e", "2.jpg": None}), 3)
    assert joint[["encounter", "photos", "name_1"]].to_numpy().tolist() == [["e", 1, "ann"]]
    assert joint["probability_1"].isna().all()
    both = joint_answers(answers, pd.Series({"1.jpg": "e", "2.jpg": "e"}), 3)
    assert [both[f"name_{n}"][0] for n in (1, 2, 3)] == ["ann", "bob", "cat"]  # 0.375, 0.375 and 0.25, ties by name


def test_an_encounter_with_several_animals_in_a_photo_has_no_joint_answer() -> None:
    names = {"a": 0.6, "b": 0.2}
    answers = _answers({"1.jpg": names, "1.jpg#2": names, "2.jpg": names, "3.jpg": names})
    encounters = pd.Series({"1.jpg": "e", "1.jpg#2": "e", "2.jpg": "e", "3.jpg": "alone"})
    joint = joint_answers(answers, encounters, 3).set_index("encounter")
    assert joint.loc["e", "photos"] == 2
    assert joint.loc["e"].drop("photos").isna().all()
    assert joint.loc["alone", "name_1"] == "a"
