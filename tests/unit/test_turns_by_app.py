"""By setting, all mailboxes of one app take turns with one another."""

from dataclasses import replace

import pytest

from shared.identifiers import app_hash, box_hash, box_of
from shared.schedule import FETCH, Wakeup
from shared.settings import Settings, SettingsError
from tests.fakes.intake import World
from tests.scenes.administration import ANN, BOX, CLIENT_ID, CONTOSO, Administration

ENVIRONMENT = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_STORAGE": "UseDevelopmentStorage=true",
    "KEY_VAULT_URL": "https://mailgrant.vault.azure.net",
    "PUBLIC_BASE_URL": "https://mail.example",
}


@pytest.mark.parametrize(("by_app", "boxes"), [(False, 2), (True, 1)])
def test_connections_of_two_mailboxes_share_a_turn_by_setting(by_app: bool, boxes: int) -> None:
    """Their ids begin alike, so that they lie in one partition and under one turn row."""
    admin = Administration()
    admin.creation = replace(admin.creation, turns_by_app=by_app)
    grant = admin.consented()
    made = [admin.connection(grant, mailbox=person.address) for person in (BOX, ANN)]

    assert boxes == len({box_of(connection.id) for connection in made})
    assert [BOX.id, ANN.id] == [connection.mailbox for connection in made]
    expected = {app_hash(CLIENT_ID)} if by_app else {box_hash(CLIENT_ID, CONTOSO, p.id) for p in (BOX, ANN)}
    assert expected == {box_of(connection.id) for connection in made}


def test_one_turn_drains_every_mailbox_of_the_app() -> None:
    """Whoever is woken for one mailbox fetches for all that are due, each as itself, and each mail once."""
    world = World()
    keys = [world.connect(mailbox=user) for user in ("first", "second")]
    world.graph.arrive("a", "b")
    world.fetch().run(Wakeup(FETCH, keys[0]))

    assert [2, 2] == [world.run(key).taken for key in keys]
    assert "" == world.turns.look(box_of(keys[0])).box.holder


def test_the_setting_is_one_of_two_words() -> None:
    """Anything else is refused at start, and the mailbox is the default."""
    assert "mailbox" == Settings.from_environment(ENVIRONMENT).turn_key
    assert "app" == Settings.from_environment({**ENVIRONMENT, "TURN_KEY": "app"}).turn_key
    with pytest.raises(SettingsError, match="TURN_KEY must be mailbox or app"):
        Settings.from_environment({**ENVIRONMENT, "TURN_KEY": "tenant"})
