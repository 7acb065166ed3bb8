/** Numbers of MRT: RFC 6396 §4, RFC 8050 §4. Names are those of IANA's registry "Multi-threaded Routing Toolkit (MRT)". */

export const MRT = { TABLE_DUMP: 12, TABLE_DUMP_V2: 13, BGP4MP: 16, BGP4MP_ET: 17 } as const;

export const TABLE_DUMP_V2 = {
  PEER_INDEX_TABLE: 1,
  RIB_IPV4_UNICAST: 2,
  RIB_IPV4_MULTICAST: 3,
  RIB_IPV6_UNICAST: 4,
  RIB_IPV6_MULTICAST: 5,
  RIB_IPV4_UNICAST_ADDPATH: 8,
  RIB_IPV4_MULTICAST_ADDPATH: 9,
  RIB_IPV6_UNICAST_ADDPATH: 10,
  RIB_IPV6_MULTICAST_ADDPATH: 11,
} as const;

export const BGP4MP = {
  STATE_CHANGE: 0,
  MESSAGE: 1,
  MESSAGE_AS4: 4,
  STATE_CHANGE_AS4: 5,
  MESSAGE_LOCAL: 6,
  MESSAGE_AS4_LOCAL: 7,
  MESSAGE_ADDPATH: 8,
  MESSAGE_AS4_ADDPATH: 9,
  MESSAGE_LOCAL_ADDPATH: 10,
  MESSAGE_AS4_LOCAL_ADDPATH: 11,
} as const;

/** RFC 6396 §4.3.1: bits of Peer Type. */
export const PEER_TYPE = { IPV6: 0x01, FOUR_OCTET_AS: 0x02 } as const;

/** RFC 6396 §4.4.1: what a state is as a number. Some daemons have states of their own above. */
export const MRT_STATE = { IDLE: 1, CONNECT: 2, ACTIVE: 3, OPEN_SENT: 4, OPEN_CONFIRM: 5, ESTABLISHED: 6 } as const;
