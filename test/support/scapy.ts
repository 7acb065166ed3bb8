/** Scapy: octets that somebody else made of a description, and frames sent as they are. */
import type { Overlay, Spot } from './overlay.ts';
import { PYTHON } from './peers.ts';

/** Runs a program with all of Scapy and `data`; gives what it printed, as JSON. */
export async function scapy<T>(net: Overlay, spot: Spot, program: string, data: unknown = null): Promise<T> {
  const text = `import json, sys\nfrom scapy.all import *\nconf.verb = 0\ndata = json.loads(sys.argv[1])\n${program}`;
  return JSON.parse(await net.must(spot, PYTHON, ['-W', 'ignore', '-c', text, JSON.stringify(data)])) as T;
}

/** Sends Ethernet frames, in hexadecimal, to the end of a device. */
export const sendFrames = (net: Overlay, spot: Spot, device: string, frames: readonly string[]): Promise<string> =>
  net.must(spot, PYTHON, ['-c', SEND, device, ...frames]);

const SEND = `import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for frame in sys.argv[2:]:
    s.send(bytes.fromhex(frame))
    time.sleep(0.002)`;
