/**
 * ExaBGP as a BGP peer. It has no table: what it hears is told to a process of its own as lines of JSON, and what that process says it
 * tells its peer. Here both are files.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BgpDaemon, type DaemonSettings, type Heard, isV6 } from './bgp-daemon.ts';
import { until } from './process.ts';

interface ExaMessage {
  readonly type: string;
  readonly neighbor?: {
    readonly state?: string;
    readonly message?: { readonly update?: ExaUpdate; readonly notification?: unknown };
  };
}

interface ExaUpdate {
  readonly attribute?: {
    readonly 'as-path'?: readonly number[] | Readonly<Record<string, { readonly value: readonly number[] }>>;
    readonly community?: readonly (readonly number[])[];
    readonly 'large-community'?: readonly (readonly number[])[];
    readonly 'extended-community'?: readonly { readonly string: string }[];
  };
  readonly announce?: Readonly<Record<string, Readonly<Record<string, readonly { readonly nlri: string }[]>>>>;
  readonly withdraw?: Readonly<Record<string, readonly { readonly nlri: string }[]>>;
}

export class Exabgp extends BgpDaemon {
  readonly name = 'ExaBGP';

  async start(): Promise<void> {
    this.write('commands', '');
    this.write('heard', '');
    this.write(
      'api.sh',
      `exec 3<&0\ncat <&3 >'${this.folder}/heard' &\nexec tail -n +1 -f '${this.folder}/commands'\n`,
    );
    this.write('exabgp.conf', exabgpConf(this.settings, this.ends[0], this.peers, this.folder));
    const env = {
      'exabgp.tcp.bind': this.settings.passive === false ? '' : this.ends[0],
      'exabgp.tcp.port': '179',
      'exabgp.daemon.user': 'root',
      'exabgp.api.cli': 'false',
      'exabgp.log.all': 'false',
    };
    this.launch('exabgp', ['exabgp.conf'], env);
    await until(
      () => this.processes.every((each) => each.running) && /configuration|loaded|connected/i.test(this.output),
      15_000,
      () => `ExaBGP does not start:\n${this.output}`,
    );
  }

  async route(prefix: string): Promise<Heard | undefined> {
    let found: Heard | undefined;
    for (const message of this.#messages()) {
      if (message.type === 'state' && message.neighbor?.state === 'down') found = undefined;
      const update = message.neighbor?.message?.update;
      if (update === undefined) continue;
      const has = (nlri: readonly { readonly nlri: string }[]) => nlri.some((each) => each.nlri === prefix);
      if (Object.values(update.withdraw ?? {}).some(has)) found = undefined;
      if (
        Object.values(update.announce ?? {})
          .flatMap((family) => Object.values(family))
          .some(has)
      )
        found = heardOf(update);
    }
    return found;
  }

  async announce(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#say(`announce ${routeOf(prefix, this.settings)}`);
  }

  async withdraw(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#say(`withdraw ${routeOf(prefix, this.settings)}`);
  }

  async refresh(): Promise<void> {
    for (const family of ['ipv4', 'ipv6']) this.#say(`announce route-refresh ${family} unicast`);
  }

  async shutdown(_text: string): Promise<void> {
    this.#say(`neighbor ${this.peers[0]} teardown 2`);
  }

  async enable(): Promise<void> {
    // It dials again by itself.
  }

  async session(): Promise<string> {
    return readFileSync(join(this.folder, 'heard'), 'utf8');
  }

  #say(command: string): void {
    appendFileSync(join(this.folder, 'commands'), `${command}\n`);
  }

  #messages(): readonly ExaMessage[] {
    const lines = readFileSync(join(this.folder, 'heard'), 'utf8').split('\n');
    // The last one may be half written, commands are answered here as well, and what peers say may break its JSON.
    return lines.slice(0, -1).flatMap((line): readonly ExaMessage[] => {
      try {
        return line.startsWith('{') ? [JSON.parse(line) as ExaMessage] : [];
      } catch {
        return [];
      }
    });
  }
}

function heardOf({ attribute: a = {} }: ExaUpdate): Heard {
  const path = a['as-path'] ?? [];
  const joined = (list: readonly (readonly number[])[] = []) => list.map((each) => each.join(':'));
  return {
    stale: false,
    path: Array.isArray(path) ? path : Object.values(path).flatMap(({ value }) => value),
    communities: [
      ...joined(a.community),
      ...joined(a['large-community']),
      ...(a['extended-community'] ?? []).map((each) => each.string.replace('target:', 'rt:')),
    ],
  };
}

function routeOf(prefix: string, { link, asn, prepend }: DaemonSettings): string {
  const path = prepend === undefined ? '' : ` as-path [ ${asn} ${prepend} ]`;
  const marks = `community [ 65000:7 ] large-community [ ${asn}:1:2 ] extended-community [ target:65000:3 ]`;
  return `route ${prefix} next-hop ${isV6(prefix) ? link.theirs6 : link.theirs}${path} ${marks}`;
}

function exabgpConf(s: DaemonSettings, own: string, peers: readonly string[], folder: string): string {
  const option = (on: unknown, text: string): string => (on === undefined || on === false ? '' : `  ${text};\n`);
  const neighbour = (peer: string): string => `neighbor ${peer} {
  router-id ${s.link.theirs};
  local-address ${own};
  local-as ${s.asn};
  peer-as ${s.peerAs};
  hold-time ${s.holdSeconds ?? 9};
  adj-rib-out true;
${option(s.passive, 'passive true')}${option(s.md5, `md5-password ${s.md5}`)}${option(s.gtsm, 'outgoing-ttl 255')}  family {
    ipv4 unicast;
    ipv6 unicast;
  }
  capability {
    route-refresh enable;
${option(s.gracefulSeconds, `graceful-restart ${s.gracefulSeconds}`)}  }
  api {
    processes [ api ];
    neighbor-changes;
    receive { parsed; update; }
  }
  static {
${s.announces.map((prefix) => `    ${routeOf(prefix, s)};\n`).join('')}  }
}
`;
  return `process api {
  run /bin/sh ${folder}/api.sh;
  encoder json;
}
${peers.map(neighbour).join('')}`;
}
