"""What a port is, and what its NIC counts itself: as rte_ethdev.h tells it."""

from libc.stdint cimport uint16_t, uint64_t
from libc.stdlib cimport calloc, free

from cython_core.dpdk.rte cimport (
    RTE_ETH_LINK_AUTONEG, RTE_ETH_LINK_FULL_DUPLEX, RTE_ETH_SPEED_NUM_UNKNOWN, rte_eth_dev_get_mtu,
    rte_eth_dev_info, rte_eth_dev_info_get, rte_eth_dev_rx_offload_name,
    rte_eth_dev_tx_offload_name, rte_eth_link, rte_eth_link_get_nowait, rte_eth_macaddr_get,
    rte_eth_promiscuous_get, rte_eth_xstat, rte_eth_xstat_name, rte_eth_xstats_get,
    rte_eth_xstats_get_names, rte_ether_addr,
)

from cython_core.dpdk.carrier import link_up
from cython_core.dpdk.terms import PortState

cdef enum:
    OFFLOAD_BITS = 64           # in rte_eth_dev_info, one an offload


def port_state(port):
    cdef rte_eth_dev_info info
    cdef rte_eth_link link
    cdef rte_ether_addr mac
    cdef uint16_t mtu = 0
    rte_eth_dev_info_get(port.port_id, &info)
    rte_eth_link_get_nowait(port.port_id, &link)
    rte_eth_macaddr_get(port.port_id, &mac)
    rte_eth_dev_get_mtu(port.port_id, &mtu)
    known = link.link_status and link.link_speed not in (0, RTE_ETH_SPEED_NUM_UNKNOWN)
    return PortState(
        role=port.role, device=port.device, driver=info.driver_name.decode(),
        mac=bytes(mac.addr_bytes[:6]).hex(":"), numa_node=port.socket,
        link_up=link_up(port.device, link.link_status != 0),
        speed_mbps=link.link_speed if known else None,
        full_duplex=link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX,
        autonegotiated=link.link_autoneg == RTE_ETH_LINK_AUTONEG,
        mtu_bytes=mtu, promiscuous=rte_eth_promiscuous_get(port.port_id) == 1,
        rx_queues=port.rx_queues, tx_queues=port.tx_queues,
        rx_descriptors=port.rx_descriptors, tx_descriptors=port.tx_descriptors,
        symmetric_rss=port.symmetric_rss, tx_offloads=tx_names(port.tx_offloads),
        rx_capabilities=rx_names(info.rx_offload_capa),
        tx_capabilities=tx_names(info.tx_offload_capa),
        nic_counters=xstats(port.port_id),
    )


def rx_names(uint64_t offloads):
    return [rte_eth_dev_rx_offload_name(<uint64_t>1 << bit).decode()
            for bit in range(OFFLOAD_BITS) if offloads >> bit & 1]


def tx_names(uint64_t offloads):
    return [rte_eth_dev_tx_offload_name(<uint64_t>1 << bit).decode()
            for bit in range(OFFLOAD_BITS) if offloads >> bit & 1]


# A driver may have others by the time that it is asked for their values; then there are none.
cdef dict xstats(uint16_t port_id):
    cdef int count = rte_eth_xstats_get_names(port_id, NULL, 0)
    cdef rte_eth_xstat_name *names
    cdef rte_eth_xstat *values
    cdef int at
    if count <= 0:
        return {}
    names = <rte_eth_xstat_name *>calloc(count, sizeof(rte_eth_xstat_name))
    values = <rte_eth_xstat *>calloc(count, sizeof(rte_eth_xstat))
    try:
        if names == NULL or values == NULL:
            raise MemoryError
        if (rte_eth_xstats_get_names(port_id, names, count) != count
                or rte_eth_xstats_get(port_id, values, count) != count):
            return {}
        return {names[values[at].id].name.decode(): values[at].value for at in range(count)}
    finally:
        free(names)
        free(values)
