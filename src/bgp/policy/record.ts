/**
 * Policies as they stand in the document: plain records, read from top to bottom.
 *
 * `all` lets everything pass, `none` nothing. A list is clauses: the first that matches decides, unless it says `next`; what matches none is
 * refused. All conditions of a clause must hold; a list within a condition holds when one of its items does. Conditions look at the route as
 * it came to the policy: what an earlier clause has set before `next` does not matter to them.
 *
 *   import: [{ prefix: 10.0.0.0/8, le: 24 }, { prefix: 0.0.0.0/0, set: { localPreference: 50 } }]
 *   export: [{ community: no-export, action: reject }, { asPath: '^$' }]
 */
export type PolicyRecord = 'all' | 'none' | readonly ClauseRecord[];

export interface PrefixRecord {
  readonly prefix: string;
  /** Least and greatest length. Default: that of the prefix; with `ge` alone up to the longest. */
  readonly ge?: number;
  readonly le?: number;
}

/** A number, or both ends of a range. */
export type RangeRecord = number | readonly [from: number, to: number];

export interface ClauseRecord {
  readonly name?: string;
  readonly prefix?: string;
  readonly ge?: number;
  readonly le?: number;
  readonly prefixes?: readonly PrefixRecord[];
  /** A regular expression over AS_PATH as text: `as-path-expression.ts`. */
  readonly asPath?: string;
  /** The first AS number of the path, and the last. */
  readonly neighbourAs?: RangeRecord;
  readonly originAs?: RangeRecord;
  /** `65001:100`, `no-export`, `65001:1:2` (RFC 8092), `rt:65001:100` (RFC 4360): any of them. */
  readonly community?: string | readonly string[];
  /** A prefix. */
  readonly nextHop?: string;
  readonly med?: RangeRecord;
  readonly origin?: 'igp' | 'egp' | 'incomplete';
  readonly set?: ActionRecord;
  /** Default `accept`. `next` keeps what was set and looks at the following clauses, whose conditions do not see it. */
  readonly action?: 'accept' | 'reject' | 'next';
}

export interface ActionRecord {
  readonly localPreference?: number;
  readonly med?: number | 'none';
  /** `self`: the address of our end of the session. */
  readonly nextHop?: 'self' | (string & {});
  readonly origin?: 'igp' | 'egp' | 'incomplete';
  readonly weight?: number;
  readonly communities?: {
    /** Before the others. */
    readonly clear?: boolean;
    readonly remove?: readonly string[];
    readonly add?: readonly string[];
  };
  readonly prepend?: { readonly asn: number; readonly times?: number };
}

/** What is wrong with a record; `path` leads to it. */
export interface PolicyIssue {
  readonly path: string;
  readonly problem: string;
}
