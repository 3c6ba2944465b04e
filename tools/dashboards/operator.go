// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The parts that many queries have. Other operators have the same metrics, so a process counts if it reports the
// version of this operator.
const (
	replica  = `cluster=~"$cluster",instance=~"$instance"`
	ours     = ` and on (cluster, job, instance) lws_operator_build_info{` + replica + `})`
	webhooks = `cluster=~"$cluster",name=~"(mleaderworkerset|vleaderworkerset|mpod)[.]leaderworkerset[.]x-k8s[.]io"`

	controllerName = `{{controller}}`
)

// sum returns the sum of a metric of the operator's processes by labels that are separated by commas.
func sum(by, metric string) string {
	return `sum by (` + by + `) (` + metric + `{` + replica + `}` + ours
}

// rate returns the sum of a counter's rate.
func rate(by, counter string) string {
	return `sum by (` + by + `) (rate(` + counter + `{` + replica + `}[$__rate_interval])` + ours
}

// p95 returns the 95th percentile of a histogram.
func p95(by, histogram string) string {
	return `histogram_quantile(0.95, ` + rate(by+", le", histogram+"_bucket") + `)`
}

// refusals are the writes that the API server refused. The panel shows the counter itself: a series begins with
// its first refusal, which an increase misses.
var refusals = `sum by (resource, verb, reason) (lws_operator_api_refusals_total{` + replica + `})`

// operator is for those who run the operator.
var operator = dashboard{
	uid: "lws-operator", title: "LeaderWorkerSet operator",
	description: "The processes of the operator: leader, work, requests, webhooks, certificates and memory.",
	variables: []variable{
		{"cluster", "Cluster", `label_values(lws_operator_build_info, cluster)`},
		{"instance", "Replica", `label_values(lws_operator_build_info{cluster=~"$cluster"}, instance)`},
	},
	panels: []panel{
		{title: "Replicas", description: "How many replicas report.", view: number, empty: "none",
			queries: one(`count(lws_operator_build_info{` + replica + `})`)},
		{title: "Elected replicas", description: "One replica is elected in each cluster. Without one, no set is reconciled.",
			view: number, queries: one(`sum(leader_election_master_status{` + replica + `,` +
				`name="lws-operator.leaderworkerset.x-k8s.io"})`)},
		{title: "Replicas by version", description: "Two versions run during an upgrade only.", view: number,
			queries: []query{{"{{version}}", `count by (version) (lws_operator_build_info{` + replica + `})`}}},
		{title: "Certificates end in", description: "The time until the first certificate of each use ends. The operator " +
			"renews it before.", view: number, unit: seconds,
			queries: []query{{"{{use}}", `min by (use) (lws_operator_certificate_expiration_timestamp_seconds{` + replica +
				`}) - time()`}}},
		{title: "Upgrade held", description: "Why the Operator Lifecycle Manager waits with an upgrade. The panel has data " +
			"only where that manager installed the operator.", view: number, empty: "no",
			queries: []query{{"{{reason}}", `max by (reason) (lws_operator_upgrade_held{` + replica + `}) > 0`}}},
		{title: "Leader pods sent back", description: "How many leader pods the webhook sent back within the last hour, " +
			"because the update asks for another revision. Some are usual in an update.", view: number,
			queries: one(`sum(increase(lws_operator_release_refusals_total{` + replica + `}[1h]))`)},

		{title: "Elected replica", description: "Which replica was elected at which time.", view: timeline,
			queries: []query{{"{{instance}}", `max by (cluster, instance) (leader_election_master_status{` + replica + `,` +
				`name="lws-operator.leaderworkerset.x-k8s.io"}) == 1`}}},
		{title: "Busy workers", description: "The share of each controller's workers that are in a pass. Near 100%, more " +
			"concurrency or more API requests a second may help.", view: lines, unit: share,
			queries: []query{{controllerName, sum("controller", "controller_runtime_active_workers") + ` / ` +
				sum("controller", "controller_runtime_max_concurrent_reconciles")}}},
		{title: "Queue", description: "How many sets and groups wait for a pass.", view: lines,
			queries: []query{{controllerName, sum("controller", "workqueue_depth")}}},
		{title: "Time in the queue", description: "How long 95 of 100 sets and groups wait for their pass.", view: lines,
			unit: seconds, queries: []query{{controllerName, p95("controller", "workqueue_queue_duration_seconds")}}},
		{title: "Passes", description: "How many passes end in a second, by their result.", view: lines,
			unit:    operationsPerSecond,
			queries: []query{{"{{controller}} {{result}}", rate("controller, result", "controller_runtime_reconcile_total")}}},
		{title: "Duration of passes", description: "How long 95 of 100 passes take at most.", view: lines, unit: seconds,
			queries: []query{{controllerName, p95("controller", "controller_runtime_reconcile_time_seconds")}}},
		{title: "Failed passes", description: "The share of passes that fail. Single failures are usual.", view: lines,
			unit: share,
			queries: []query{{controllerName, rate("controller", "controller_runtime_reconcile_errors_total") + ` / (` +
				rate("controller", "controller_runtime_reconcile_total") + ` > 0)`}}},
		{title: "API requests", description: "How many requests the operator sends to the API server in a second, by the " +
			"answer. 409 is a conflict, and 429 is too many requests.", view: stacked, unit: requestsPerSecond,
			queries: []query{{"{{method}} {{code}}", rate("method, code", "rest_client_requests_total")}}},
		{title: "Refused writes", description: "How many writes the API server has refused since the start of the replica. " +
			"Another attempt doesn't help.", view: lines, empty: "None",
			queries: []query{{"{{verb}} {{resource}}: {{reason}}", refusals}}},
		{title: "Webhook latency", description: "How long 95 of 100 webhook calls take at most, by the operator and by the " +
			"API server. The latter includes the network.", view: lines, unit: seconds,
			queries: []query{{"operator {{webhook}}", p95("webhook", "controller_runtime_webhook_latency_seconds")},
				{"API server {{name}}", `histogram_quantile(0.95, sum by (name, le) (rate(` +
					`apiserver_admission_webhook_admission_duration_seconds_bucket{` + webhooks + `}[$__rate_interval])))`}}},
		{title: "Webhook calls", description: "How many calls of its webhooks the operator answers in a second.",
			view: stacked, unit: requestsPerSecond,
			queries: []query{{"{{webhook}} {{code}}", rate("webhook, code", "controller_runtime_webhook_requests_total")}}},
		{title: "Failed webhook calls", description: "How many calls of the operator's webhooks failed within 5 minutes, " +
			"by the count of the API server.", view: lines, empty: "None",
			queries: []query{{"{{name}}", `sum by (name) (increase(apiserver_admission_webhook_rejection_count{` + webhooks +
				`,error_type="calling_webhook_error"}[5m]))`}}},
		{title: "Memory", description: "The memory of each replica.", view: lines, unit: bytesOfMemory,
			queries: []query{{"{{instance}}", sum("instance", "process_resident_memory_bytes")}}},
		{title: "CPU", description: "How many CPUs each replica uses.", view: lines,
			queries: []query{{"{{instance}}", rate("instance", "process_cpu_seconds_total")}}},
	},
}
