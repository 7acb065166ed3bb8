/*
 * A floor for gateways: TUN device to UDP socket and back, without framing, cipher or checksum.
 *
 *     relay DEVICE LOCAL REMOTE PORT
 *
 * It moves superframes as they are, so its cost is what the kernel takes for TUN, UDP_SEGMENT and UDP_GRO; what a gateway takes
 * beyond that is the gateway's own. For packets that come singly it is no floor: it moves them singly, a gateway may gather them.
 *
 * Read first: udp(7); linux/virtio_net.h; networking/tuntap.rst of the kernel.
 * On the wire: struct virtio_net_hdr and the IP packet, cut into datagrams that fill an MTU of 1500.
 * Deliberate limits: one peer, IPv4 outside, no authentication. For benches only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
  DATAGRAM = 1500 - 20 - 8,
  /* Frames one way before the other way gets a turn. */
  TURN = 16,
  ROOM = 1 << 17,
  QUEUE = 32 << 20,
  HEADER = sizeof(struct virtio_net_hdr),
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tun(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  /* USO needs Linux 6.2. */
  if (ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(fd, TUNSETOFFLOAD, tcp) < 0)
    fail("TUNSETOFFLOAD");
  return fd;
}

static struct sockaddr_in endpoint(const char *address, const char *port) {
  struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  if (inet_pton(AF_INET, address, &made.sin_addr) != 1) fail(address);
  return made;
}

static int open_udp(const char *local, const char *remote, const char *port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  int octets = QUEUE, on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets);
  if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) fail("UDP_GRO");
  struct sockaddr_in here = endpoint(local, port), there = endpoint(remote, port);
  if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0) fail("bind");
  if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0) fail("connect");
  return fd;
}

/* One frame of the device as one message for the kernel to cut. What the socket refuses is lost, as on a wire. */
static int move_out(int tun, int udp, char *room) {
  ssize_t length = read(tun, room, ROOM);
  if (length <= 0) return 0;
  struct iovec octets = {room, (size_t)length};
  union {
    char octets[CMSG_SPACE(sizeof(unsigned short))];
    struct cmsghdr align;
  } control = {{0}};
  struct msghdr message = {.msg_iov = &octets, .msg_iovlen = 1};
  if (length > DATAGRAM) {
    message.msg_control = control.octets;
    message.msg_controllen = sizeof control.octets;
    struct cmsghdr *segment = CMSG_FIRSTHDR(&message);
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(unsigned short));
    *(unsigned short *)CMSG_DATA(segment) = DATAGRAM;
  }
  sendmsg(udp, &message, 0);
  return 1;
}

/* Octets of the frame that begins here; 0 when no whole one does. */
static size_t frame_length(const unsigned char *frame, size_t rest) {
  if (rest < HEADER + 20) return 0;
  const unsigned char *ip = frame + HEADER;
  size_t length = ip[0] >> 4 == 6 ? 40 + (size_t)(ip[4] << 8 | ip[5]) : (size_t)(ip[2] << 8 | ip[3]);
  return HEADER + length <= rest ? HEADER + length : 0;
}

/* What the kernel aggregated holds one frame, or several back to back. */
static int move_in(int tun, int udp, char *room) {
  ssize_t length = recv(udp, room, ROOM, 0);
  if (length <= 0) return 0;
  for (size_t at = 0, rest = (size_t)length, frame; (frame = frame_length((unsigned char *)room + at, rest)) > 0;) {
    if (write(tun, room + at, frame) < 0 && errno != EINVAL && errno != EAGAIN && errno != EIO) fail("write");
    at += frame;
    rest -= frame;
  }
  return 1;
}

int main(int count, char **words) {
  if (count != 5) {
    fprintf(stderr, "usage: relay DEVICE LOCAL REMOTE PORT\n");
    return 2;
  }
  static char room[ROOM];
  int tun = open_tun(words[1]), udp = open_udp(words[2], words[3], words[4]);
  fprintf(stderr, "ready\n");
  for (;;) {
    int moved = 0;
    for (int i = 0; i < TURN && move_out(tun, udp, room); i++) moved = 1;
    for (int i = 0; i < TURN && move_in(tun, udp, room); i++) moved = 1;
    struct pollfd waiting[2] = {{.fd = tun, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
    if (!moved) poll(waiting, 2, -1);
  }
}
