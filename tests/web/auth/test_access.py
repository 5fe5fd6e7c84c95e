import pytest
from flask import Flask

from shared.access.api_keys import Scope
from web.auth.access import ANY_KEY, EVERYONE, JOB_SCOPE, allow, check_declared


def app_with(view) -> Flask:
    app = Flask(__name__)
    app.add_url_rule("/", "view", view)
    return app


@pytest.mark.parametrize("needed", [EVERYONE, ANY_KEY, JOB_SCOPE, *Scope])
def test_a_view_that_declares_its_access_is_accepted(needed) -> None:
    check_declared(app_with(allow(needed)(lambda: "")))


def test_a_view_that_declares_nothing_stops_the_start() -> None:
    with pytest.raises(KeyError, match="view"):
        check_declared(app_with(lambda: ""))
