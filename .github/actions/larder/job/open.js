'use strict';

const { spawnSync } = require('node:child_process');
const { appendFileSync } = require('node:fs');

// A step before this one may have opened the job; it then ends it, too.
if (!process.env.LARDER_JOB) {
  const begun = spawnSync('larder', ['job', 'begin', '--format', 'github'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (begun.error) {
    console.log(`::warning::larder does not run here, so nothing is saved: ${begun.error.message}`);
  } else {
    appendFileSync(process.env.GITHUB_ENV, begun.stdout);
    appendFileSync(process.env.GITHUB_STATE, begun.stdout);
  }
}
