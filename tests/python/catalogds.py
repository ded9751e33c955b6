"""Catalogds and coordinators, as subscribers of the tests of elections."""

from fake_subscriber import catalogd
from statestore_idl import ttypes

KINDS = ttypes.TStatestoreSubscriberType


class Cluster:
    """One statestored, and those who take part in its elections."""

    def __init__(self, daemon, subscriber, ha):
        self.daemon = daemon
        self.ha = ha
        self._subscriber = subscriber
        self._ports = iter(range(26_000, 26_100))

    def catalogd(self, name, *topics, **changes):
        """Registers a new one; its port says which it is."""
        fake = self._subscriber(None, name, *topics)
        fake.catalogd_port = next(self._ports)
        self.register(fake, **changes)
        return fake

    def ask(self, fake, force=None, port=None, uds=None, wants=True):
        registration = catalogd(port or fake.catalogd_port, self.ha, force, uds)
        return self.daemon.ask(
            fake, subscriber_type=KINDS.CATALOGD, subscribe_catalogd_change=wants,
            catalogd_registration=registration)

    def register(self, fake, **changes):
        """Registers it, again perhaps; `registered` is the reply."""
        fake.registered = self.ask(fake, **changes)
        assert fake.registered.status.status_code == 0, fake.registered.status
        return fake.registered

    def coordinator(self, name="coordinator", behaviour=None, *topics):
        """Registers a subscriber that wants to know who the active catalogd is."""
        fake = self._subscriber(None, name, *topics)
        if behaviour:
            fake.always(behaviour, "UpdateCatalogd")
        fake.registered = self.daemon.register(fake, subscribe_catalogd_change=True)
        return fake

    def page(self):
        return self.daemon.json("/catalog_ha_info")

    def seats(self):
        """(version, port of the active, port of the standby), as the page says."""
        page = self.page()
        return (page["active_catalogd_version"], port_of(page.get("active_catalogd_address")),
                port_of(page.get("standby_catalogd_address")))


def port_of(address):
    return address and int(address.rsplit(":", 1)[1])


def told(fake, since=0):
    """(version, port) of each notice that a subscriber got."""
    return [(call.request.catalogd_version, call.request.catalogd_registration.address.port)
            for call in fake.calls("UpdateCatalogd", since=since)]


def await_told(fake, version, port, since=0):
    fake.until(lambda: (version, port) in told(fake, since),
               f"{fake.id} is told of catalogd {version} at {port}: {told(fake)}")
