'use strict';

const { spawnSync } = require('node:child_process');

// Set where this action opened the job.
const job = process.env.STATE_LARDER_JOB;
if (job) {
  const status = process.env.INPUT_STATUS || 'failure';
  const ended = spawnSync('larder', ['job', 'end', '--job', job, '--status', status], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (ended.error) {
    console.log(`::warning::larder does not run here, so nothing is saved: ${ended.error.message}`);
  }
}
