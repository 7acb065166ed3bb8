/** What the flags of `bgp replay` mean. */
import { type Address, type Endpoint, parseAddress } from '../ip/index.ts';
import { BGP_PORT } from '../runtime/bgp-transport.ts';
import { CliError, EXIT } from './io.ts';

export const wrong = (problem: string, advice: string): CliError => new CliError(EXIT.usage, 'usage', problem, advice);

export function addressOf(text: unknown, flag: string): Address {
  const address = parseAddress(String(text));
  if (address === undefined) throw wrong(`${flag} ${String(text)} is no address`, '');
  return address;
}

/** `192.0.2.1`, `192.0.2.1:1179`, `2001:db8::1`, `[2001:db8::1]:1179`. */
export function endpointOf(given: unknown): Endpoint {
  if (given === undefined) throw wrong('--to is needed', 'Name the daemon: --to 192.0.2.1');
  const text = String(given);
  const whole = parseAddress(text);
  if (whole !== undefined) return { address: whole, port: BGP_PORT };
  const match = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text);
  const address = match === null ? undefined : parseAddress(match[1]!);
  const number = Number(match?.[2]);
  if (address === undefined || !(number >= 1 && number <= 0xffff))
    throw wrong(`--to ${text} is neither an address nor an address with a port`, '');
  return { address, port: number };
}

/** Empty: next hops stay as they are. */
export function hopsOf(given: unknown): readonly Address[] | 'own' {
  const text = given === undefined ? 'own' : String(given);
  if (text === 'own') return 'own';
  if (text === 'keep') return [];
  const hops = text.split(',').map((one) => addressOf(one, '--next-hop'));
  if (new Set(hops.map(({ length }) => length)).size !== hops.length)
    throw wrong('--next-hop has more than one address of a family', '');
  return hops;
}
