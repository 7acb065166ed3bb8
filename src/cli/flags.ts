/**
 * How commands are declared: a table of leaves, each with its flags, an example and a function that is loaded when it is called.
 * Every flag has a twin in the environment: `--api` is BULKHEAD_API; what stands on the command line wins. The exception says
 * `twin: false`.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { nearest } from '../config/suggestion.ts';
import { parsePrefix } from '../ip/index.ts';
import type { Call, Io } from './io.ts';

export interface Flag {
  /** As commander writes it: `-c, --config <file>`. */
  readonly flags: string;
  readonly text: string;
  /** `before` is what an earlier one of a flag that may be repeated gave. */
  readonly parse?: (text: string, before?: unknown) => unknown;
  /** The value of a flag that stands alone although it may have one (`--wait [seconds]`). */
  readonly alone?: unknown;
  readonly twin?: false;
}

export interface Leaf {
  /** Words and arguments: `connections show <connection>`. */
  readonly usage: string;
  readonly text: string;
  readonly example: string;
  readonly flags: readonly Flag[];
  /** The parent without a further word means this one. */
  readonly isDefault?: true;
  /** Only other commands call it. */
  readonly isHidden?: true;
  /** Gives the exit code. */
  readonly run: (call: Call) => Promise<number>;
}

/** `parents` says what the words before the last one are about. */
export function addLeaf(
  program: Command,
  parents: Readonly<Record<string, string>>,
  leaf: Leaf,
  io: Io,
  exit: (code: number) => void,
): void {
  const words = leaf.usage.split(' ');
  const names = words.filter((word) => !/^[<[]/.test(word));
  const parent = names.slice(0, -1).reduce((at, name) => {
    const known = at.commands.find((child) => child.name() === name);
    if (known !== undefined) return known;
    const made = new Command(name).description(parents[name] ?? '');
    at.addCommand(made);
    return made;
  }, program);
  const command = new Command(names.at(-1))
    .description(leaf.text)
    .addHelpText('after', `\nExample:\n  ${leaf.example}`);
  for (const word of words.slice(names.length)) command.argument(word);
  addFlags(command, leaf.flags);
  if (leaf.isDefault === true) command.allowExcessArguments();
  command.action(async () => {
    if (leaf.isDefault === true) refuseUnknown(parent, command);
    const options = optionsOf(command, leaf.flags, io.env);
    exit(await leaf.run({ io, args: command.args, options }));
  });
  parent.addCommand(command, { isDefault: leaf.isDefault === true, hidden: leaf.isHidden === true });
}

/** What stands in place of a command's last word came to the default one, which takes no arguments. */
function refuseUnknown(parent: Command, command: Command): void {
  const [word] = command.args;
  if (word === undefined) return;
  const name = command.name();
  if (parent.args[0] === name) parent.error(`error: '${name}' takes no arguments, and ${word} is one`, { exitCode: 2 });
  const near = nearest(
    word,
    parent.commands.map((each) => each.name()),
  );
  const hint = near === undefined ? `See: bulkhead ${parent.name()} --help` : `(Did you mean ${near}?)`;
  parent.error(`error: unknown command '${word}'\n${hint}`, { exitCode: 2, code: 'commander.unknownCommand' });
}

export function addFlags(command: Command, flags: readonly Flag[]): void {
  for (const flag of flags) command.addOption(optionOf(flag));
}

/** What the command line says, and for flags it leaves out their twins. */
export const optionsOf = (command: Command, flags: readonly Flag[], env: Io['env']): Record<string, unknown> => ({
  ...fromEnvironment(flags, env, command),
  ...command.opts(),
});

export const environmentName = (flag: Flag): string =>
  `BULKHEAD_${new Option(flag.flags).name().replace(/^no-/, '').replaceAll('-', '_').toUpperCase()}`;

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`A whole number from ${min} to ${max} is needed.`);
  };
}

/** A number without sign or exponent. */
export function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`A number from ${min} to ${max} is needed.`);
  };
}

export function oneOf(...words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`One of ${words.join(', ')} is needed.`);
  };
}

/** Several words with commas between them. */
export function someOf(...words: readonly string[]): (text: string) => readonly string[] {
  return (text) => {
    const chosen = text.split(',');
    if (chosen.every((word) => words.includes(word))) return chosen;
    throw new InvalidArgumentError(`One or more of ${words.join(', ')} are needed, with commas between them.`);
  };
}

/** Without bits of a host; what the API is told is the text. */
export function prefixText(text: string): string {
  if (parsePrefix(text) !== undefined) return text;
  throw new InvalidArgumentError('A prefix like 10.0.0.0/8 is needed, in which no bits of a host are set.');
}

/** RFC 9003 §2: at most 255 octets of UTF-8. */
export function shutdownText(text: string): string {
  const { length } = new TextEncoder().encode(text);
  if (length <= 255) return text;
  throw new InvalidArgumentError(`It has ${length} octets, and at most 255 can be told.`);
}

function optionOf(flag: Flag): Option {
  const option = new Option(
    flag.flags,
    flag.twin === false ? flag.text : `${flag.text} (env: ${environmentName(flag)})`,
  );
  const { parse } = flag;
  if (parse !== undefined) option.argParser((text: string, before: unknown) => parse(text, before));
  if (flag.alone !== undefined) option.preset(flag.alone);
  return option;
}

/** Only for flags that the command line leaves out, so that a wrong twin of another one cannot hurt. */
function fromEnvironment(flags: readonly Flag[], env: Io['env'], command: Command): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const flag of flags) {
    const option = new Option(flag.flags);
    const name = option.attributeName();
    const text = flag.twin === false ? undefined : env[environmentName(flag)];
    if (text === undefined || text === '' || command.getOptionValue(name) !== undefined) continue;
    found[name] = option.isBoolean() ? truth(flag, text) : readTwin(flag, text, option.optional);
  }
  return found;
}

function readTwin(flag: Flag, text: string, mayStandAlone: boolean): unknown {
  if (mayStandAlone && /^(true|yes|on)$/i.test(text)) return flag.alone ?? true;
  try {
    return flag.parse?.(text) ?? text;
  } catch (error) {
    throw usageError(flag, text, (error as Error).message);
  }
}

function truth(flag: Flag, text: string): boolean | undefined {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return undefined;
  throw usageError(flag, text, 'True or false is needed.');
}

const usageError = (flag: Flag, text: string, why: string): CommanderError =>
  new CommanderError(2, 'bulkhead.environment', `error: ${environmentName(flag)}='${text}' is invalid. ${why}`);
