import numpy as np

from worker.evaluation.confusions import confusion_image

#: Every image is of one colour, its own number.
IMAGES = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 4, 3), np.uint8)

TRUTH = np.array([0, 0, 0, 0, 0, 1])

#: Images 0 to 3 are taken for 1, in a mixed order of confidence; 4 is right; 5 is taken for 0.
ANSWERS = np.array([(0.4, 0.6), (0.1, 0.9), (0.3, 0.7), (0.2, 0.8), (0.99, 0.01), (0.75, 0.25)])


def cell(picture: np.ndarray, row: int, column: int) -> list[int]:
    """Return the numbers of the images in a cell, from the left; 255 for a blank one."""
    part = picture[2 * row : 2 * row + 2, 12 * column : 12 * column + 12]
    numbers = part.reshape(2, 3, 4, 3)
    assert (numbers == numbers[:1, :, :1, :1]).all()
    return numbers[0, :, 0, 0].tolist()


def test_a_cell_shows_the_most_confident_mistakes_first() -> None:
    picture = confusion_image(IMAGES, TRUTH, ANSWERS)
    assert (picture.shape, picture.dtype) == ((2 * 2, 2 * 3 * 4, 3), np.uint8)
    assert cell(picture, 0, 1) == [1, 3, 2]
    assert cell(picture, 1, 0) == [5, 255, 255]


def test_the_diagonal_is_blank() -> None:
    picture = confusion_image(IMAGES, TRUTH, ANSWERS)
    assert cell(picture, 0, 0) == cell(picture, 1, 1) == [255] * 3


def test_a_model_without_mistakes_has_a_blank_image() -> None:
    assert (confusion_image(IMAGES, TRUTH, np.eye(2)[TRUTH]) == 255).all()
