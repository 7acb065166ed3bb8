/** RFC 4271 §8.2.2 as this session does it: `event: actions → state, next timer`. The hold times are 90 s, jitter is always 0.75. */
export const TABLE: Record<string, string> = {
  Idle: `
1 ManualStart: dial -1 → connect, connect retry timer in 90 s
2 ManualStop: nothing → idle
8 AutomaticStop (maximum prefixes): nothing → idle
8 AutomaticStop (path): nothing → idle
path is up: nothing → idle
9-13 the next timer: none runs
10 HoldTimer_Expires (negotiated): nothing → idle
10 HoldTimer_Expires (large): nothing → idle
16 Tcp_CR_Acked: abort -1 → idle
17 TcpConnectionConfirmed: send 1 NOTIFICATION 6/5, close 1 → idle
18 TcpConnectionFails: nothing → idle
19 BGPOpen: nothing → idle
21 BGPHeaderErr: nothing → idle
22 BGPOpenMsgErr: nothing → idle
24 NotifMsgVerErr: nothing → idle
25 NotifMsg: nothing → idle
26 KeepAliveMsg: nothing → idle
27 UpdateMsg: nothing → idle
28 UpdateMsgErr: nothing → idle
ROUTE-REFRESH: nothing → idle
the tables send: nothing → idle
`,
  'Idle, IdleHoldTimer running': `
1 ManualStart: dial -2 → connect, connect retry timer in 90 s
2 ManualStop: nothing → idle
8 AutomaticStop (maximum prefixes): nothing → idle, idle hold timer in 1.499 s
8 AutomaticStop (path): nothing → idle
path is up: dial -2 → connect, connect retry timer in 90 s
9-13 the next timer: idle hold timer: dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (negotiated): dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (large): dial -2 → connect, connect retry timer in 90 s
16 Tcp_CR_Acked: abort -1 → idle, idle hold timer in 1.499 s
17 TcpConnectionConfirmed: abort 1 → idle, idle hold timer in 1.499 s
18 TcpConnectionFails: nothing → idle, idle hold timer in 1.499 s
19 BGPOpen: nothing → idle, idle hold timer in 1.499 s
21 BGPHeaderErr: nothing → idle, idle hold timer in 1.499 s
22 BGPOpenMsgErr: nothing → idle, idle hold timer in 1.499 s
24 NotifMsgVerErr: nothing → idle, idle hold timer in 1.499 s
25 NotifMsg: nothing → idle, idle hold timer in 1.499 s
26 KeepAliveMsg: nothing → idle, idle hold timer in 1.499 s
27 UpdateMsg: nothing → idle, idle hold timer in 1.499 s
28 UpdateMsgErr: nothing → idle, idle hold timer in 1.499 s
ROUTE-REFRESH: nothing → idle, idle hold timer in 1.499 s
the tables send: nothing → idle, idle hold timer in 1.499 s
`,
  'Idle, path down': `
1 ManualStart: nothing → idle
2 ManualStop: nothing → idle
8 AutomaticStop (maximum prefixes): nothing → idle
8 AutomaticStop (path): nothing → idle
path is up: dial -2 → connect, connect retry timer in 90 s
9-13 the next timer: none runs
10 HoldTimer_Expires (negotiated): nothing → idle
10 HoldTimer_Expires (large): nothing → idle
16 Tcp_CR_Acked: abort -1 → idle
17 TcpConnectionConfirmed: abort 1 → idle
18 TcpConnectionFails: nothing → idle
19 BGPOpen: nothing → idle
21 BGPHeaderErr: nothing → idle
22 BGPOpenMsgErr: nothing → idle
24 NotifMsgVerErr: nothing → idle
25 NotifMsg: nothing → idle
26 KeepAliveMsg: nothing → idle
27 UpdateMsg: nothing → idle
28 UpdateMsgErr: nothing → idle
ROUTE-REFRESH: nothing → idle
the tables send: nothing → idle
`,
  Connect: `
1 ManualStart: nothing → connect, connect retry timer in 89.999 s
2 ManualStop: abort -1 → idle
8 AutomaticStop (maximum prefixes): nothing → connect, connect retry timer in 89.999 s
8 AutomaticStop (path): abort -1 → idle
path is up: abort -1, dial -2 → connect, connect retry timer in 90 s
9-13 the next timer: connect retry timer: abort -1, dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (negotiated): abort -1, dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (large): abort -1, dial -2 → connect, connect retry timer in 90 s
16 Tcp_CR_Acked: send -1 OPEN → openSent, hold timer in 240 s
17 TcpConnectionConfirmed: send 1 OPEN → openSent, connect retry timer in 89.999 s
18 TcpConnectionFails: nothing → active, connect retry timer in 90 s
19 BGPOpen: nothing → connect, connect retry timer in 89.999 s
21 BGPHeaderErr: nothing → connect, connect retry timer in 89.999 s
22 BGPOpenMsgErr: nothing → connect, connect retry timer in 89.999 s
24 NotifMsgVerErr: nothing → connect, connect retry timer in 89.999 s
25 NotifMsg: nothing → connect, connect retry timer in 89.999 s
26 KeepAliveMsg: nothing → connect, connect retry timer in 89.999 s
27 UpdateMsg: nothing → connect, connect retry timer in 89.999 s
28 UpdateMsgErr: nothing → connect, connect retry timer in 89.999 s
ROUTE-REFRESH: nothing → connect, connect retry timer in 89.999 s
the tables send: nothing → connect, connect retry timer in 89.999 s
`,
  'Connect, DelayOpenTimer running': `
1 ManualStart: nothing → connect, OPEN, which was delayed in 4.999 s
2 ManualStop: close -1 → idle
8 AutomaticStop (maximum prefixes): nothing → connect, OPEN, which was delayed in 4.999 s
8 AutomaticStop (path): abort -1 → idle
path is up: nothing → connect, OPEN, which was delayed in 4.999 s
9-13 the next timer: OPEN, which was delayed: send -1 OPEN → openSent, hold timer in 240 s
10 HoldTimer_Expires (negotiated): send -1 OPEN → openSent, hold timer in 240 s
10 HoldTimer_Expires (large): send -1 OPEN → openSent, hold timer in 240 s
16 Tcp_CR_Acked: nothing → connect, OPEN, which was delayed in 4.999 s
17 TcpConnectionConfirmed: nothing → connect, OPEN, which was delayed in 4.999 s
18 TcpConnectionFails: nothing → active, connect retry timer in 90 s
19 BGPOpen: send -1 OPEN, send -1 KEEPALIVE → openConfirm, KEEPALIVE in 22.5 s
21 BGPHeaderErr: close -1 → idle, idle hold timer in 1.5 s
22 BGPOpenMsgErr: send -1 OPEN, send -1 NOTIFICATION 2/2, close -1 → idle, idle hold timer in 1.5 s
24 NotifMsgVerErr: close -1 → idle, idle hold timer in 1.5 s
25 NotifMsg: close -1 → idle, idle hold timer in 1.5 s
26 KeepAliveMsg: close -1 → idle, idle hold timer in 1.5 s
27 UpdateMsg: close -1 → idle, idle hold timer in 1.5 s
28 UpdateMsgErr: nothing → connect, OPEN, which was delayed in 4.999 s
ROUTE-REFRESH: close -1 → idle, idle hold timer in 1.5 s
the tables send: nothing → connect, OPEN, which was delayed in 4.999 s
`,
  Active: `
1 ManualStart: nothing → active, connect retry timer in 89.999 s
2 ManualStop: nothing → idle
8 AutomaticStop (maximum prefixes): nothing → active, connect retry timer in 89.999 s
8 AutomaticStop (path): nothing → idle
path is up: dial -2 → connect, connect retry timer in 90 s
9-13 the next timer: connect retry timer: dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (negotiated): dial -2 → connect, connect retry timer in 90 s
10 HoldTimer_Expires (large): dial -2 → connect, connect retry timer in 90 s
16 Tcp_CR_Acked: abort -1 → active, connect retry timer in 89.999 s
17 TcpConnectionConfirmed: send 1 OPEN → openSent, hold timer in 240 s
18 TcpConnectionFails: nothing → active, connect retry timer in 89.999 s
19 BGPOpen: nothing → active, connect retry timer in 89.999 s
21 BGPHeaderErr: nothing → active, connect retry timer in 89.999 s
22 BGPOpenMsgErr: nothing → active, connect retry timer in 89.999 s
24 NotifMsgVerErr: nothing → active, connect retry timer in 89.999 s
25 NotifMsg: nothing → active, connect retry timer in 89.999 s
26 KeepAliveMsg: nothing → active, connect retry timer in 89.999 s
27 UpdateMsg: nothing → active, connect retry timer in 89.999 s
28 UpdateMsgErr: nothing → active, connect retry timer in 89.999 s
ROUTE-REFRESH: nothing → active, connect retry timer in 89.999 s
the tables send: nothing → active, connect retry timer in 89.999 s
`,
  'Active, DelayOpenTimer running': `
1 ManualStart: nothing → active, OPEN, which was delayed in 4.999 s
2 ManualStop: close 1 → idle
8 AutomaticStop (maximum prefixes): nothing → active, OPEN, which was delayed in 4.999 s
8 AutomaticStop (path): abort 1 → idle
path is up: nothing → active, OPEN, which was delayed in 4.999 s
9-13 the next timer: OPEN, which was delayed: send 1 OPEN → openSent, hold timer in 240 s
10 HoldTimer_Expires (negotiated): send 1 OPEN → openSent, hold timer in 240 s
10 HoldTimer_Expires (large): send 1 OPEN → openSent, hold timer in 240 s
16 Tcp_CR_Acked: abort -1 → active, OPEN, which was delayed in 4.999 s
17 TcpConnectionConfirmed: close 1 → active, OPEN, which was delayed in 5 s
18 TcpConnectionFails: nothing → idle, idle hold timer in 1.5 s
19 BGPOpen: send 1 OPEN, send 1 KEEPALIVE → openConfirm, KEEPALIVE in 22.5 s
21 BGPHeaderErr: close 1 → idle, idle hold timer in 1.5 s
22 BGPOpenMsgErr: send 1 OPEN, send 1 NOTIFICATION 2/2, close 1 → idle, idle hold timer in 1.5 s
24 NotifMsgVerErr: close 1 → idle, idle hold timer in 1.5 s
25 NotifMsg: close 1 → idle, idle hold timer in 1.5 s
26 KeepAliveMsg: close 1 → idle, idle hold timer in 1.5 s
27 UpdateMsg: close 1 → idle, idle hold timer in 1.5 s
28 UpdateMsgErr: nothing → active, OPEN, which was delayed in 4.999 s
ROUTE-REFRESH: close 1 → idle, idle hold timer in 1.5 s
the tables send: nothing → active, OPEN, which was delayed in 4.999 s
`,
  OpenSent: `
1 ManualStart: nothing → openSent, hold timer in 239.999 s
2 ManualStop: send -1 NOTIFICATION 6/2, close -1 → idle
8 AutomaticStop (maximum prefixes): nothing → openSent, hold timer in 239.999 s
8 AutomaticStop (path): abort -1 → idle
path is up: nothing → openSent, hold timer in 239.999 s
9-13 the next timer: hold timer: send -1 NOTIFICATION 4/0, close -1 → idle, idle hold timer in 1.5 s
10 HoldTimer_Expires (negotiated): nothing → openSent, hold timer in 150 s
10 HoldTimer_Expires (large): send -1 NOTIFICATION 4/0, close -1 → idle, idle hold timer in 1.5 s
16 Tcp_CR_Acked: nothing → openSent, hold timer in 239.999 s
17 TcpConnectionConfirmed: send 1 OPEN → openSent, hold timer in 239.999 s
18 TcpConnectionFails: nothing → active, connect retry timer in 90 s
19 BGPOpen: send -1 KEEPALIVE → openConfirm, KEEPALIVE in 22.5 s
21 BGPHeaderErr: send -1 NOTIFICATION 1/3 09, close -1 → idle, idle hold timer in 1.5 s
22 BGPOpenMsgErr: send -1 NOTIFICATION 2/2, close -1 → idle, idle hold timer in 1.5 s
24 NotifMsgVerErr: close -1 → idle, idle hold timer in 1.5 s
25 NotifMsg: close -1 → idle, idle hold timer in 1.5 s
26 KeepAliveMsg: send -1 NOTIFICATION 5/1 04, close -1 → idle, idle hold timer in 1.5 s
27 UpdateMsg: send -1 NOTIFICATION 5/1 02, close -1 → idle, idle hold timer in 1.5 s
28 UpdateMsgErr: nothing → openSent, hold timer in 239.999 s
ROUTE-REFRESH: send -1 NOTIFICATION 5/1 05, close -1 → idle, idle hold timer in 1.5 s
the tables send: nothing → openSent, hold timer in 239.999 s
`,
  OpenConfirm: `
1 ManualStart: nothing → openConfirm, KEEPALIVE in 22.499 s
2 ManualStop: send -1 NOTIFICATION 6/2, close -1 → idle
8 AutomaticStop (maximum prefixes): nothing → openConfirm, KEEPALIVE in 22.499 s
8 AutomaticStop (path): abort -1 → idle
path is up: nothing → openConfirm, KEEPALIVE in 22.499 s
9-13 the next timer: KEEPALIVE: send -1 KEEPALIVE → openConfirm, KEEPALIVE in 22.5 s
10 HoldTimer_Expires (negotiated): send -1 NOTIFICATION 4/0, close -1 → idle, idle hold timer in 1.5 s
10 HoldTimer_Expires (large): send -1 KEEPALIVE → openConfirm, hold timer in 1 s
16 Tcp_CR_Acked: nothing → openConfirm, KEEPALIVE in 22.499 s
17 TcpConnectionConfirmed: send 1 OPEN → openConfirm, KEEPALIVE in 22.499 s
18 TcpConnectionFails: nothing → idle, idle hold timer in 1.5 s
19 BGPOpen: send -1 NOTIFICATION 5/2 01, close -1 → idle, idle hold timer in 1.5 s
21 BGPHeaderErr: send -1 NOTIFICATION 1/3 09, close -1 → idle, idle hold timer in 1.5 s
22 BGPOpenMsgErr: send -1 NOTIFICATION 5/2 01, close -1 → idle, idle hold timer in 1.5 s
24 NotifMsgVerErr: close -1 → idle, idle hold timer in 1.5 s
25 NotifMsg: close -1 → idle, idle hold timer in 1.5 s
26 KeepAliveMsg: established → established, KEEPALIVE in 22.499 s
27 UpdateMsg: send -1 NOTIFICATION 5/2 02, close -1 → idle, idle hold timer in 1.5 s
28 UpdateMsgErr: nothing → openConfirm, KEEPALIVE in 22.499 s
ROUTE-REFRESH: send -1 NOTIFICATION 5/2 05, close -1 → idle, idle hold timer in 1.5 s
the tables send: nothing → openConfirm, KEEPALIVE in 22.499 s
`,
  Established: `
1 ManualStart: nothing → established, KEEPALIVE in 22.498 s
2 ManualStop: send -1 NOTIFICATION 6/2, close -1, down 0 → idle
8 AutomaticStop (maximum prefixes): send -1 NOTIFICATION 6/1, close -1, down 0 → idle, idle hold timer in 1000 s
8 AutomaticStop (path): abort -1, down 0 → idle
path is up: nothing → established, KEEPALIVE in 22.498 s
9-13 the next timer: KEEPALIVE: send -1 KEEPALIVE → established, KEEPALIVE in 22.5 s
10 HoldTimer_Expires (negotiated): send -1 NOTIFICATION 4/0, close -1, down 0 → idle, idle hold timer in 1.5 s
10 HoldTimer_Expires (large): send -1 KEEPALIVE → established, hold timer in 1 s
16 Tcp_CR_Acked: nothing → established, KEEPALIVE in 22.498 s
17 TcpConnectionConfirmed: send 1 OPEN → established, KEEPALIVE in 22.498 s
18 TcpConnectionFails: down 0 → idle, idle hold timer in 1.5 s
19 BGPOpen: send -1 NOTIFICATION 5/3 01, close -1, down 0 → idle, idle hold timer in 1.5 s
21 BGPHeaderErr: send -1 NOTIFICATION 1/3 09, close -1, down 0 → idle, idle hold timer in 1.5 s
22 BGPOpenMsgErr: send -1 NOTIFICATION 5/3 01, close -1, down 0 → idle, idle hold timer in 1.5 s
24 NotifMsgVerErr: close -1, down 0 → idle, idle hold timer in 1.5 s
25 NotifMsg: close -1, down 0 → idle, idle hold timer in 1.5 s
26 KeepAliveMsg: nothing → established, KEEPALIVE in 22.498 s
27 UpdateMsg: update → established, KEEPALIVE in 22.498 s
28 UpdateMsgErr: send -1 NOTIFICATION 3/1, close -1, down 0 → idle, idle hold timer in 1.5 s
ROUTE-REFRESH: refresh IPv4 → established, KEEPALIVE in 22.498 s
the tables send: send -1 UPDATE → established, KEEPALIVE in 22.5 s
`,
};
