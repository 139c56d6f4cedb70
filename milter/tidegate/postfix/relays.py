"""For whom a service relays out: logins, networks beyond this machine, or programs on it. Pure."""

from __future__ import annotations

import ipaddress

from tidegate.postfix.instance import Instance, Service

_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_client_restrictions")


def relays(instance: Instance, service: Service) -> str:
    """`logins`, `logins and networks`, `programs on this machine`; "" where it takes mail for its own domains only."""
    if service.command != "smtpd":
        return ""
    words = {word for name in _LISTS for word in instance.value(service, name).replace(",", " ").split()}
    found = []
    if instance.value(service, "smtpd_sasl_auth_enable") == "yes" and "permit_sasl_authenticated" in words:
        found.append("logins")
    if "permit_tls_clientcerts" in words or "permit_tls_all_clientcerts" in words:
        found.append("client certificates")
    if "permit_mynetworks" in words:
        wide = [one for one in instance.value(service, "mynetworks").replace(",", " ").split() if not here(one)]
        if wide:
            found.append(f"networks ({', '.join(wide[:3])})")
    return " and ".join(found)


def for_programs(instance: Instance, service: Service) -> bool:
    """Does it relay for programs on this machine, by permit_mynetworks with the loopback addresses?"""
    words = {word for name in _LISTS for word in instance.value(service, name).replace(",", " ").split()}
    return service.command == "smtpd" and "permit_mynetworks" in words


def here(network: str) -> bool:
    """Is it a loopback network? `[::1]/128`, `127.0.0.0/8`; a table (`hash:/…`) may be anything."""
    text = network.replace("[", "").replace("]", "")
    try:
        address = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Network) and address.network_address.ipv4_mapped is not None:
        return address.network_address.ipv4_mapped.is_loopback and address.prefixlen >= 104
    return address.is_loopback
