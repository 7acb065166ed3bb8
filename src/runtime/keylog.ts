/**
 * Key tables for Wireshark on disk: appends rows to files in a folder of the owner's.
 *
 * Leaves to others: the rows (`capture/wireshark.ts`). Read by `tshark` with the folder as profile.
 * Invariant: files 0600 and a new folder 0700; a symbolic link, or what somebody else owns or may write into, is refused.
 */
import { closeSync, constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SystemError } from './syscalls.ts';

export class KeyLog {
  readonly folder: string;

  /** Makes the folder; throws SystemError when it exists and is not ours, or others may write into it. */
  constructor(folder: string) {
    this.folder = resolve(folder);
    attempt(`key folder ${this.folder}`, () => {
      makeFolder(this.folder);
      const facts = lstatSync(this.folder);
      if (!facts.isDirectory()) throw refusal('ENOTDIR');
      if (facts.uid !== process.getuid?.()) throw refusal('EPERM');
      if ((facts.mode & 0o022) !== 0) throw refusal('EPERM');
    });
  }

  /** Appends one line (without its newline) to `file`, in one write. */
  append(file: string, row: string): void {
    const path = join(this.folder, file);
    attempt(`key file ${path}`, () => {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
      const fd = openSync(path, flags, 0o600);
      try {
        const facts = fstatSync(fd);
        if (!facts.isFile() || facts.uid !== process.getuid?.()) throw refusal('EPERM');
        if ((facts.mode & 0o077) !== 0) fchmodSync(fd, 0o600);
        writeSync(fd, `${row}\n`);
      } finally {
        closeSync(fd);
      }
    });
  }
}

/** Only the folder itself: its parent is somebody's decision (and below /proc a recursive mkdir never ends). */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function attempt(what: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    throw new SystemError(
      what,
      code,
      'Keys are written only where this user alone can read: choose another `keyLog` folder',
    );
  }
}

const refusal = (code: string): Error => Object.assign(new Error(code), { code });
