// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

// The parts that many queries have. Both replicas may report a set while the leader changes, so a maximum takes one.
const (
	selected = `cluster=~"$cluster",namespace=~"$namespace",leaderworkerset=~"$leaderworkerset"`
	bySet    = `by (cluster, namespace, leaderworkerset)`
	setName  = `{{namespace}}/{{leaderworkerset}}`

	desiredGroups = `max ` + bySet + ` (leaderworkerset_spec_replicas{` + selected + `})`
	groupSize     = `max ` + bySet + ` (leaderworkerset_spec_group_size{` + selected + `})`
	leaderPods    = `max ` + bySet + ` (leaderworkerset_status_replicas{` + selected + `})`
	readyGroups   = `max ` + bySet + ` (leaderworkerset_status_replicas_ready{` + selected + `})`
	updatedGroups = `max ` + bySet + ` (leaderworkerset_status_replicas_updated{` + selected + `})`
	unreadyGroups = `max by (cluster, namespace, leaderworkerset, reason) (leaderworkerset_status_groups_unready{` +
		selected + `})`
	restarts = `leaderworkerset_group_restarts_total{` + selected + `}`
)

// theHistograms is a sentence for panels that show histograms.
const theHistograms = "With perSetHistograms: false, the panel shows all sets together and needs the choice All."

// condition returns the value of a condition of each set.
func condition(name string) string {
	return `max ` + bySet + ` (leaderworkerset_status_condition{` + selected + `,condition="` + name + `"})`
}

// quantiles are the median and the 95th percentile of a histogram within the last hour. Groups start rarely, so
// a shorter window would be empty most of the time.
func quantiles(histogram string) []query {
	buckets := `sum by (le) (increase(` + histogram + `_bucket{` + selected + `}[1h])))`
	return []query{
		{"median", `histogram_quantile(0.5, ` + buckets},
		{"95th percentile", `histogram_quantile(0.95, ` + buckets},
	}
}

// one is a single query without a legend.
func one(expr string) []query { return []query{{"", expr}} }

// sets is for those who run the sets.
var sets = dashboard{
	uid: "leaderworkersets", title: "LeaderWorkerSets",
	description: "The groups of all LeaderWorkerSets: which are ready, why others are not, updates and restarts.",
	variables: []variable{
		{"cluster", "Cluster", `label_values(leaderworkerset_spec_replicas, cluster)`},
		{"namespace", "Namespace", `label_values(leaderworkerset_spec_replicas{cluster=~"$cluster"}, namespace)`},
		{"leaderworkerset", "LeaderWorkerSet", `label_values(leaderworkerset_spec_replicas{cluster=~"$cluster",` +
			`namespace=~"$namespace"}, leaderworkerset)`},
	},
	panels: []panel{
		{title: "Sets", description: "How many LeaderWorkerSets exist.", view: number,
			queries: one(`count(` + desiredGroups + `)`)},
		{title: "Ready share", description: "The share of the groups asked for that are ready. Surge doesn't count.",
			view: number, unit: share, empty: "no groups",
			queries: one(`1 - (sum(` + unreadyGroups + `) or vector(0)) / (sum(` + desiredGroups + `) > 0)`)},
		{title: "Unready groups", description: "How many of the groups asked for are not ready.", view: number,
			queries: one(`sum(` + unreadyGroups + `) or vector(0)`)},
		{title: "Sets not available", description: "How many sets lack a group, or have one that is not ready.",
			view: number, queries: one(`count(` + condition("Available") + ` == 0) or vector(0)`)},
		{title: "Sets in an update", description: "How many sets are replacing their groups.", view: number,
			queries: one(`count(` + condition("UpdateInProgress") + ` == 1) or vector(0)`)},
		{title: "Stalled sets", description: "How many sets don't become healthy without help.", view: number,
			queries: one(`count(` + condition("Stalled") + ` == 1) or vector(0)`)},

		{title: "Groups", description: "Groups asked for, groups with a leader pod, and ready groups. " +
			"The latter two include surge.", view: lines,
			queries: []query{{"asked for", `sum(` + desiredGroups + `)`}, {"with a leader pod", `sum(` + leaderPods + `)`},
				{"ready", `sum(` + readyGroups + `)`}}},
		{title: "Unready groups by reason", description: "Why groups are not ready. The reasons are those of " +
			"status.unreadyGroups.", view: stacked, empty: "All groups are ready",
			queries: []query{{"{{reason}}", `sum by (reason) (` + unreadyGroups + `)`}}},
		{title: "Sets with unready groups", description: "The unready groups of each set at the end of the time range.",
			view: table, empty: "All groups are ready", queries: one(`sort_desc(` + unreadyGroups + ` > 0)`)},
		{title: "Pods in unready groups", description: "How many pods the unready groups have if they are complete. " +
			"The accelerators of these pods do no work.", view: lines, empty: "All groups are ready",
			queries: []query{{setName, `sum ` + bySet + ` (` + unreadyGroups + `) * ` + groupSize}}},
		{title: "Conditions that need attention", description: "When each set was degraded, refused by the API server, " +
			"or stalled.", view: timeline, empty: "No set has one",
			queries: []query{{setName + ` {{condition}}`, `max by (cluster, namespace, leaderworkerset, condition) (` +
				`leaderworkerset_status_condition{` + selected + `,condition=~"Degraded|ReplicaFailure|Stalled"}) == 1`}}},
		{title: "Changes not observed", description: "How many generations the status is behind the spec. " +
			"The operator catches up within seconds.", view: lines, empty: "All changes are observed",
			queries: []query{{setName, `max ` + bySet + ` (leaderworkerset_metadata_generation{` + selected + `}) - max ` +
				bySet + ` (leaderworkerset_status_observed_generation{` + selected + `}) > 0`}}},

		{title: "Updated groups in updates", description: "The share of the groups that have the new revision, " +
			"while a set is updated.", view: lines, unit: share, empty: "No set is updated",
			queries: []query{{setName, updatedGroups + ` / ` + desiredGroups + ` and ` + condition("UpdateInProgress") +
				` == 1`}}},
		{title: "Age of updates", description: "How long the current update of each set has taken so far.",
			view: lines, unit: seconds, empty: "No set is updated",
			queries: []query{{setName, `time() - max ` + bySet + ` (leaderworkerset_rollout_start_timestamp_seconds{` +
				selected + `})`}}},
		{title: "Updates that ended", description: "How many updates ended within the last hour: complete, " +
			"or held by the partition. " + theHistograms, view: lines,
			queries: []query{{"{{result}}", `sum by (result) (increase(leaderworkerset_rollout_duration_seconds_count{` +
				selected + `}[1h]))`}}},
		{title: "Duration of updates", description: "How long the updates took that ended within the last hour. " +
			theHistograms, view: lines, unit: seconds, queries: quantiles("leaderworkerset_rollout_duration_seconds")},

		{title: "Restarts by cause", description: "How many groups were restarted within the last hour. The page " +
			"docs/concepts/failures.md explains the causes.", view: stacked,
			queries: []query{{"{{cause}}", `sum by (cause) (increase(` + restarts + `[1h])) > 0`}}, empty: "No restarts"},
		{title: "Sets with most restarts", description: "The 20 sets with most restarts within the time range.",
			view: table, empty: "No restarts",
			queries: one(`topk(20, sum ` + bySet + ` (increase(` + restarts + `[$__range])) > 0)`)},
		{title: "Time to start", description: "How long groups took from the creation of the leader pod until they were " +
			"ready. " + theHistograms, view: lines, unit: seconds,
			queries: quantiles("leaderworkerset_group_startup_duration_seconds")},
		{title: "Time to recover", description: "How long groups took from a failure until they were ready again. " +
			theHistograms, view: lines, unit: seconds, queries: quantiles("leaderworkerset_group_recovery_duration_seconds")},
	},
}
