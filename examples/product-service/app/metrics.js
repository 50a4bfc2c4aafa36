/** Prometheus metrics in text format 0.0.4, as small as one service needs: counters and one histogram, both for finished requests. */

/** Upper bounds in seconds; the last bucket, +Inf, is implied. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** @param {Record<string, string>} labels */
function render(labels) {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return `{${pairs.join(',')}}`;
}

/** @param {string} value */
function escape(value) {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

export class Metrics {
  /** @type {Map<string, { labels: Record<string, string>, value: number }>} */
  #requests = new Map();
  /** @type {Map<string, { labels: Record<string, string>, counts: number[], count: number, sum: number }>} */
  #durations = new Map();
  #version;

  /** @param {string} version */
  constructor(version) {
    this.#version = version;
  }

  /**
   * Makes a counter visible at 0. Without this, a series is born at 1 and `rate()` never sees its first error.
   *
   * @param {string} method
   * @param {string} route
   * @param {number} status
   */
  declare(method, route, status) {
    this.#counter(method, route, status);
  }

  /**
   * @param {string} method
   * @param {string} route the pattern, never the path itself: label values must stay few
   * @param {number} status
   * @param {number} seconds
   */
  observe(method, route, status, seconds) {
    this.#counter(method, route, status).value += 1;
    const histogram = this.#histogram(method, route);
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound);
    const index = bucket === -1 ? BUCKETS.length : bucket;
    histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
    histogram.count += 1;
    histogram.sum += seconds;
  }

  /** @returns {string} the body of GET /metrics */
  expose() {
    const cpu = process.cpuUsage();
    const lines = [
      '# HELP app_info Which version of the service this is.',
      '# TYPE app_info gauge',
      `app_info${render({ version: this.#version })} 1`,
      '# HELP process_cpu_seconds_total CPU time spent, user and system.',
      '# TYPE process_cpu_seconds_total counter',
      `process_cpu_seconds_total ${(cpu.user + cpu.system) / 1e6}`,
      '# HELP process_resident_memory_bytes Resident memory.',
      '# TYPE process_resident_memory_bytes gauge',
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
      '# HELP process_start_time_seconds Start time since the Unix epoch.',
      '# TYPE process_start_time_seconds gauge',
      `process_start_time_seconds ${(Date.now() / 1000 - process.uptime()).toFixed(3)}`,
      '# HELP http_requests_total Requests answered; probes and scrapes are not counted.',
      '# TYPE http_requests_total counter',
      ...[...this.#requests.values()].map(
        ({ labels, value }) => `http_requests_total${render(labels)} ${value}`,
      ),
      '# HELP http_request_duration_seconds Time from the request to the end of its answer.',
      '# TYPE http_request_duration_seconds histogram',
      ...[...this.#durations.values()].flatMap(histogramLines),
    ];
    return `${lines.join('\n')}\n`;
  }

  /**
   * @param {string} method
   * @param {string} route
   * @param {number} status
   */
  #counter(method, route, status) {
    const key = `${method} ${route} ${status}`;
    let counter = this.#requests.get(key);
    if (counter === undefined) {
      counter = { labels: { method, route, status_code: String(status) }, value: 0 };
      this.#requests.set(key, counter);
    }
    return counter;
  }

  /**
   * @param {string} method
   * @param {string} route
   */
  #histogram(method, route) {
    const key = `${method} ${route}`;
    let histogram = this.#durations.get(key);
    if (histogram === undefined) {
      histogram = { labels: { method, route }, counts: [], count: 0, sum: 0 };
      this.#durations.set(key, histogram);
    }
    return histogram;
  }
}

/** @param {{ labels: Record<string, string>, counts: number[], count: number, sum: number }} histogram */
function histogramLines({ labels, counts, count, sum }) {
  let cumulative = 0;
  const buckets = BUCKETS.map((bound, index) => {
    cumulative += counts[index] ?? 0;
    return `http_request_duration_seconds_bucket${render({ ...labels, le: String(bound) })} ${cumulative}`;
  });
  return [
    ...buckets,
    `http_request_duration_seconds_bucket${render({ ...labels, le: '+Inf' })} ${count}`,
    `http_request_duration_seconds_sum${render(labels)} ${sum}`,
    `http_request_duration_seconds_count${render(labels)} ${count}`,
  ];
}
