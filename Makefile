# Copyright The LeaderWorkerSet Operator Authors
# SPDX-License-Identifier: Apache-2.0

# The version of the next release, and its date: everything that carries them takes them from here.
VERSION ?= 0.2.0
RELEASE_DATE ?= 2026-11-21
RELEASE_TIME = $(RELEASE_DATE)T00:00:00Z

# The image that docker-build makes and deploy runs.
IMAGE_REPOSITORY ?= ghcr.io/leaderworkerset/lws-operator
IMG ?= $(IMAGE_REPOSITORY):v$(VERSION)

# The digest of that image in its registry, sha256:…, once the release has one. Bundles name the image by its tag before.
IMAGE_DIGEST ?=

# The images for the Operator Lifecycle Manager.
BUNDLE_IMG ?= $(IMAGE_REPOSITORY)-bundle:v$(VERSION)
CATALOG_IMG ?= $(IMAGE_REPOSITORY)-catalog:latest

# The command that builds images: docker, podman, …
CONTAINER_TOOL ?= docker

# The minor version of Kubernetes that test clusters run, if it isn't the newest one: 1.34, …
KUBERNETES ?=
export KUBERNETES

# The benchmark: numbers of groups to measure with, pods in a group, and further flags (see go run ./test/bench -help).
GROUPS ?= 50,100,200,500,1000
SIZE ?= 4
BENCH_FLAGS ?=

# The summary of docs/operate/benchmarks.md: its pieces, or all of them, and how often each is measured.
PIECES ?= all
RUNS ?= 3

# What make compare measures of each controller.
COMPARE_FLAGS ?= -summary recovery,rollout-30,rollout-100,many-200

# How long each fuzzer runs.
FUZZTIME ?= 1m

# How many LeaderWorkerSets test-random-sets generates.
SETS ?= 100000

# The chaos: minutes, up to 120, and the seed of clients and faults.
MINUTES ?= 5
SEED ?= 1

# Stops integration and end-to-end tests that hang.
INTEGRATION_TIMEOUT ?= 20m
E2E_TIMEOUT ?= 45m
NODES_TIMEOUT ?= 30m

# Further flags of the end-to-end tests, such as -run TestScale.
E2E_FLAGS ?=

# Further flags of the plugin's end-to-end tests, such as -run TestWhy.
PLUGIN_FLAGS ?=

# Further flags of the tests on real nodes, such as -run TestApproval.
NODES_FLAGS ?=

SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DELETE_ON_ERROR:

# Everything is pure Go. One setting for all commands, so that they share Go's build cache.
export CGO_ENABLED := 0

# Each module is on its own, whatever workspace a developer has.
export GOWORK := off

BIN := $(CURDIR)/bin
CONTROLLER_GEN := $(BIN)/controller-gen
CRDFIT := $(BIN)/crdfit
CRD_REF_DOCS := $(BIN)/crd-ref-docs
BUNDLEFIT := $(BIN)/bundlefit
KUSTOMIZE := $(BIN)/kustomize
GOLANGCI_LINT := $(BIN)/golangci-lint
OPERATOR_SDK := $(BIN)/operator-sdk
OPM := $(BIN)/opm
CRDIFY := $(BIN)/crdify
CYCLONEDX_GOMOD := $(BIN)/cyclonedx-gomod
HELM := $(BIN)/helm
GOVULNCHECK := $(BIN)/govulncheck
INDEXDB := $(BIN)/indexdb
VULNERABILITIES := $(BIN)/vulnerabilities
PROMETHEUS := $(BIN)/prometheus
SCORECARD_TEST := $(BIN)/scorecard-test

# The modules of test clusters: go.mod has the newest version of Kubernetes, 1.34.mod and others have earlier ones.
CLUSTER_MODULE := test/cluster/components
NEWEST_KUBERNETES := $(shell sed -n 's|^[[:space:]]k8s.io/kubernetes v\([0-9]*\.[0-9]*\)\..*|\1|p' $(CLUSTER_MODULE)/go.mod)
EARLIER_KUBERNETES := $(patsubst $(CLUSTER_MODULE)/%.mod,%,$(sort $(wildcard $(CLUSTER_MODULE)/1.*.mod)))
OLDEST_KUBERNETES := $(firstword $(EARLIER_KUBERNETES))

# The programs of the test cluster.
CLUSTER := $(BIN)/cluster/$(or $(KUBERNETES),$(NEWEST_KUBERNETES))

# kubectl from the PATH, or else the one that comes with the test cluster.
KUBECTL ?= $(or $(shell command -v kubectl),$(CLUSTER)/kubectl)

# Modules with code of ours; the others only name the versions of tools and programs.
CODE_MODULES := . cmd/kubectl-lws scorecard tools/generate tools/helm tools/images tools/olm tools/pictures \
	$(CLUSTER_MODULE) test/cluster/kwok test/gitops test/prometheus test/nodes test/nodes/programs/olm

.DEFAULT_GOAL := help

##@ General

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*## "; printf "Usage: make <target>\n" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## Remove everything that make built.
	rm -rf $(BIN) dist

##@ Development

.PHONY: generate
generate: $(CONTROLLER_GEN) $(CRD_REF_DOCS) ## Generate the DeepCopy methods of the API types, dashboards, and what docs does.
	$(CONTROLLER_GEN) object:headerFile=tools/generate/boilerplate.go.txt paths=./api/...
	go run ./tools/dashboards config/grafana
	$(MAKE) --no-print-directory docs

FILMS := internal/controller/leaderworkerset/testdata/films

.PHONY: docs
docs: $(CRD_REF_DOCS) ## Write the pages and pictures of docs/ that come from code: references, metrics, films.
	go run ./tools/document > docs/operate/metrics.md
	go run ./tools/names api docs/reference
	go run ./tools/films $(FILMS) docs/pictures/films
	$(CRD_REF_DOCS) --log-level ERROR --config tools/generate/reference/config.yaml \
		--templates-dir tools/generate/reference --renderer markdown --source-path api --output-path docs/reference/api.md

CRDS := config/crd/bases

# Descriptions below these properties of CRDs come from Kubernetes, and make a CRD too large for kubectl apply.
CRD_TRIM_BELOW := leaderTemplate,workerTemplate,volumeClaimTemplates

# A role without limits of its rolling update has these.
ROLLOUT_OF_ROLES := 'rollingUpdateConfiguration={"maxSurge":1,"maxUnavailable":0}'

.PHONY: manifests
manifests: $(CONTROLLER_GEN) $(CRDFIT) $(KUSTOMIZE) ## Generate the CRDs, the RBAC role, the webhook configurations and the names of released images.
	$(CONTROLLER_GEN) crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:artifacts:config=$(CRDS)
	$(CRDFIT) -below $(CRD_TRIM_BELOW) $(CRDS)/leaderworkerset.x-k8s.io_leaderworkersets.yaml
	$(CRDFIT) -below $(CRD_TRIM_BELOW) -mutable roles -default $(ROLLOUT_OF_ROLES) $(CRDS)/disaggregatedset.x-k8s.io_disaggregatedsets.yaml
	$(CRDFIT) $(CRDS)/disaggregatedset.x-k8s.io_disaggregatedsetrolescalers.yaml
	$(CONTROLLER_GEN) rbac:roleName=manager-role webhook paths=./internal/... output:rbac:artifacts:config=config/rbac output:webhook:artifacts:config=config/webhook
	cd config/manager && $(KUSTOMIZE) edit set image controller=$(IMAGE_REPOSITORY):v$(VERSION)
	sed -i.bak 's|image: .*-scorecard:.*|image: $(IMAGE_REPOSITORY)-scorecard:v$(VERSION)|' config/scorecard/config.yaml
	rm config/scorecard/config.yaml.bak

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code.
	$(GOLANGCI_LINT) fmt

.PHONY: vet
vet: ## Run go vet.
	@$(call in-each,$(CODE_MODULES),go vet ./...)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters.
	@$(call in-each,$(CODE_MODULES),$(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml)

.PHONY: tidy
tidy: ## Tidy go.mod and go.sum of all modules.
	@$(call in-each,$(ALL_MODULES),go mod tidy)
	@$(call for-earlier,go mod tidy)

.PHONY: verify
verify: verify-format verify-generated verify-tidy bundle-validate hub-validate catalog-validate verify-releases vet lint ## Check all that needs no tests.

.PHONY: verify-format
verify-format: $(GOLANGCI_LINT)
	@$(GOLANGCI_LINT) fmt --diff || { echo "The code isn't formatted: run 'make fmt'." >&2; exit 1; }

.PHONY: verify-generated
verify-generated: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(CRDFIT) $(KUSTOMIZE) $(BUNDLEFIT) $(OPERATOR_SDK) $(OPM)
	@tools/generate/verify.sh || { echo "Generated files aren't up to date: run 'make generate bundle catalog'." >&2; exit 1; }

.PHONY: verify-tidy
verify-tidy:
	@($(call in-each,$(ALL_MODULES),go mod tidy -diff); $(call for-earlier,go mod tidy -diff)) || { echo "go.mod or go.sum isn't tidy: run 'make tidy'." >&2; exit 1; }

##@ Build

.PHONY: build
build: ## Build the operator: bin/manager.
	$(call go-build,$(BIN)/manager,.,-X main.version=$(VERSION))

PLUGIN_MODULE := cmd/kubectl-lws
PLUGIN_LDFLAGS := -X main.version=$(VERSION)

.PHONY: plugin
plugin: ## Build the kubectl plugin: bin/kubectl-lws.
	cd $(PLUGIN_MODULE) && $(call go-build,$(BIN)/kubectl-lws,.,$(PLUGIN_LDFLAGS))

# The platforms of the plugin.
PLUGIN_PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

.PHONY: plugin-release
plugin-release: ## Pack the kubectl plugin for all platforms, with checksums and krew's manifest: dist/kubectl-lws_*.
	cd $(PLUGIN_MODULE) && for platform in $(PLUGIN_PLATFORMS); do \
		GOOS=$${platform%-*} GOARCH=$${platform#*-} \
		$(call go-build,$(BIN)/plugin/$$platform/kubectl-lws,.,$(PLUGIN_LDFLAGS)); done
	mkdir -p dist
	go run ./tools/release plugin -programs $(BIN)/plugin -version $(VERSION) -created $(RELEASE_TIME) \
		-platforms '$(PLUGIN_PLATFORMS)'

.PHONY: sbom
sbom: build $(CYCLONEDX_GOMOD) ## Write the software bill of materials of the operator: dist/lws-operator.cdx.json.
	mkdir -p dist
	$(call write-sbom,lws-operator,$(BIN)/manager)

.PHONY: vulnerabilities
vulnerabilities: $(GOVULNCHECK) $(VULNERABILITIES) ## Look for known vulnerabilities of the images' dependencies, as of the version in tools/vulnerabilities.
	$(GOVULNCHECK) -db file://$(VULNERABILITIES) .
	cd scorecard && $(GOVULNCHECK) -db file://$(VULNERABILITIES) ./...

# The database is a Go module as well, so that a check gives the same today and tomorrow.
VULNDB := golang.org/x/vulndb
$(VULNERABILITIES): $(INDEXDB)
	rm -rf $@
	cd tools/vulnerabilities && go mod download $(VULNDB) && \
		$(INDEXDB) -vulns "$$(go list -mod=readonly -m -f '{{.Dir}}' $(VULNDB))/data/osv" -out $@

.PHONY: docker-build
docker-build: ## Build the operator's image, IMG.
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) -t $(IMG) .

##@ Images without a container engine

# What images are built for. The ClusterServiceVersion says so, too.
ARCHITECTURES := amd64 arm64 ppc64le s390x

.PHONY: images
images: operator-image bundle-image catalog-image scorecard-image ## Build all images for all architectures, as OCI archives: bin/images.

.PHONY: operator-image
operator-image: ## Build the operator's image: bin/images/operator.tar.
	$(call cross-build,.,manager,.,-X main.version=$(VERSION))
	$(call build-image,operator)

.PHONY: bundle-image
bundle-image: ## Build the bundle's image: bin/images/bundle.tar.
	$(call build-image,bundle)

.PHONY: catalog-image
catalog-image: ## Build the catalog's image: bin/images/catalog.tar. The first time takes some minutes.
	$(call cross-build,tools/olm,opm,$(OPM_PACKAGE),$(OPM_LDFLAGS),$(OPM_TAGS))
	$(call cross-build,tools/olm,grpc_health_probe,$(HEALTH_PROBE_PACKAGE))
	$(call build-image,catalog)

.PHONY: scorecard-image
scorecard-image: ## Build the image of the scorecard's own tests: bin/images/scorecard.tar.
	$(call cross-build,scorecard,scorecard,.)
	$(call build-image,scorecard)

# The catalog comes last: clusters that read it must find what it names.
IMAGES := operator bundle scorecard catalog

.PHONY: images-push
images-push: ## Push the images in bin/images; to REGISTRY, such as localhost:5000/lws, if that is set.
	archives=; for image in $(IMAGES); do archive=$(BIN)/images/$$image.tar; \
		if [[ -e $$archive ]]; then archives+=" $$archive"; fi; done; \
		go -C tools/images run . push -registry '$(REGISTRY)' $$archives

.PHONY: verify-images
verify-images: operator-image bundle-image ## Check that the images of operator and bundle come out the same elsewhere, and that the operator runs.
	tools/release/reproduce.sh 'operator-image bundle-image' bin/images/operator.tar bin/images/bundle.tar
	cd tools/images && go test -count=1 ./built

##@ The Helm chart

CHART = dist/$(PACKAGE)-$(VERSION).tgz

.PHONY: chart
chart: ## Package the Helm chart, generated from the kustomizations: dist/lws-operator-<version>.tgz.
	go -C tools/helm run . -root $(CURDIR) -version $(VERSION) -date $(RELEASE_DATE) -out $(CURDIR)/dist

##@ A release

.PHONY: release
release: ## Write everything that a release publishes into dist/, the same wherever it is built. Takes minutes.
	rm -rf dist
	$(MAKE) build-installer chart plugin-release images sboms
	$(KUSTOMIZE) build config/crd > dist/crds.yaml
	go run ./tools/release pack -created $(RELEASE_TIME) bundle dist/$(PACKAGE)-$(VERSION)-bundle.tar.gz
	go run ./tools/release pack -created $(RELEASE_TIME) catalog dist/$(PACKAGE)-$(VERSION)-catalog.tar.gz
	for image in $(IMAGES); do cp $(BIN)/images/$$image.tar dist/$(PACKAGE)-$(VERSION)-image-$$image.tar; done
	cd dist && find . -type f ! -name SHA256SUMS | sed 's|^\./||' | LC_ALL=C sort | xargs $(SHA256SUM) > SHA256SUMS

# One for each program of ours, and one for each other program in an image. They are about Linux on amd64.
.PHONY: sboms
sboms: $(CYCLONEDX_GOMOD)
	mkdir -p dist
	$(call write-sbom,lws-operator,$(BIN)/linux-amd64/manager)
	$(call write-sbom,kubectl-lws,$(BIN)/plugin/linux-amd64/kubectl-lws)
	$(call write-sbom,lws-operator-scorecard,$(BIN)/linux-amd64/scorecard)
	$(call write-sbom,opm,$(BIN)/linux-amd64/opm)
	$(call write-sbom,grpc_health_probe,$(BIN)/linux-amd64/grpc_health_probe)

.PHONY: verify-release
verify-release: release ## Make the release again in another place, and check that all its files are the same.
	tools/release/reproduce.sh release dist

# What a release announces: its part of CHANGELOG.md.
.PHONY: release-notes
release-notes:
	@awk '/^## / { found = $$2 == "$(VERSION)" } found' CHANGELOG.md | tee $(BIN)/release-notes.md
	@test -s $(BIN)/release-notes.md || { echo "CHANGELOG.md says nothing about $(VERSION)." >&2; exit 1; }

.PHONY: publish
publish: release-notes ## Publish what make release wrote: push the images, and make a release on GitHub of the tag v<version>.
	test "$$(git describe --exact-match --tags)" = v$(VERSION)
	cd dist && $(SHA256SUM) --quiet --check SHA256SUMS
	$(MAKE) images-push
	gh release create v$(VERSION) --title v$(VERSION) --notes-file $(BIN)/release-notes.md dist/*

##@ Packages for the Operator Lifecycle Manager

# docs/contribute/releases.md tells how they make a release.
PACKAGE := lws-operator
CHANNELS := candidate-v0,stable-v0
DEFAULT_CHANNEL := stable-v0
BUNDLE_OPERATOR_IMG = $(IMAGE_REPOSITORY)$(if $(IMAGE_DIGEST),@$(IMAGE_DIGEST),:v$(VERSION))

.PHONY: bundle
bundle: not-released manifests $(KUSTOMIZE) $(OPERATOR_SDK) $(BUNDLEFIT) ## Generate the bundle of VERSION.
	$(OPERATOR_SDK) generate kustomize manifests -q --interactive=false --package $(PACKAGE)
	rm -rf bundle
	$(KUSTOMIZE) build config/manifests | $(OPERATOR_SDK) generate bundle -q --overwrite --package $(PACKAGE) --version $(VERSION) \
		--channels $(CHANNELS) --default-channel $(DEFAULT_CHANNEL)
	# OLM makes a Service of its own for the webhooks.
	rm bundle/manifests/lws-webhook-service_v1_service.yaml
	$(BUNDLEFIT) -icon config/manifests/icon.svg -image $(BUNDLE_OPERATOR_IMG) -created $(RELEASE_TIME) \
		-first leaderworkerset-sample bundle/manifests/$(PACKAGE).clusterserviceversion.yaml

.PHONY: bundle-validate
bundle-validate: $(OPERATOR_SDK) ## Validate the bundle: warnings are errors, too.
	$(OPERATOR_SDK) bundle validate ./bundle --select-optional suite=operatorframework --optional-values=k8s-version=$(NEWEST_KUBERNETES) 2>&1 | tee $(BIN)/bundle-validate.log
	! grep -Eq 'level=(warning|error)' $(BIN)/bundle-validate.log

# The rules for a submission to OperatorHub.io, as far as they can be checked here. operator-sdk warns that these two
# validators are deprecated, but OperatorHub.io's pipeline runs the first one.
.PHONY: hub-validate
hub-validate: $(OPERATOR_SDK) ## Check the bundle by OperatorHub.io's rules: warnings are errors, too.
	$(OPERATOR_SDK) bundle validate ./bundle --select-optional 'name in (operatorhub, community)' \
		--optional-values=k8s-version=$(NEWEST_KUBERNETES) 2>&1 | tee $(BIN)/hub-validate.log
	! grep -E 'level=(warning|error)' $(BIN)/hub-validate.log | grep -v 'validator is deprecated'
	cd tools/olm && go test -count=1 ./hub

.PHONY: bundle-build
bundle-build: ## Build the bundle's image, BUNDLE_IMG.
	$(CONTAINER_TOOL) build -f bundle.Dockerfile -t $(BUNDLE_IMG) .

RENDERED := catalog/$(PACKAGE)/bundles/$(PACKAGE).v$(VERSION).yaml

.PHONY: catalog
catalog: not-released $(OPM) ## Render the bundle into the catalog, and draw the upgrade graph.
	$(OPM) render bundle -o yaml --migrate-level=bundle-object-to-csv-metadata \
		--alpha-image-ref-template '$(IMAGE_REPOSITORY)-bundle:v{{.Version}}' > $(RENDERED)
	{ echo '<!-- Generated by make catalog. -->'; echo '# The upgrade graph'; echo; \
		echo '```mermaid'; $(OPM) alpha render-graph catalog; echo '```'; } > docs/contribute/upgrade-graph.md

.PHONY: catalog-validate
catalog-validate: $(OPM) ## Validate the catalog and its upgrade graph.
	$(OPM) validate catalog
	cd tools/olm && go test -count=1 ./graph

.PHONY: catalog-build
catalog-build: ## Build the catalog's image, CATALOG_IMG.
	$(CONTAINER_TOOL) build -f catalog.Dockerfile -t $(CATALOG_IMG) .

# Systems without GNU's program have Perl's.
SHA256SUM := $(if $(shell command -v sha256sum),sha256sum,shasum -a 256)

.PHONY: freeze
freeze: not-released ## Freeze the bundle as release VERSION.
	cp -R bundle releases/$(VERSION)
	cd releases && find $(VERSION) ../$(RENDERED) -type f | sort | xargs $(SHA256SUM) >> SHA256SUMS

.PHONY: not-released
not-released:
	@test ! -e releases/$(VERSION) || { echo "$(VERSION) is released and stays as it is: raise VERSION." >&2; exit 1; }

.PHONY: verify-releases
verify-releases: $(CRDIFY) $(CRDFIT) $(KUSTOMIZE)
	cd releases && $(SHA256SUM) --quiet --check SHA256SUMS
	tools/olm/crd-upgrades.sh

# The scorecard's own tests that need no cluster.
STATIC_TESTS := install-modes webhooks permissions deployment images examples

.PHONY: scorecard
scorecard: $(SCORECARD_TEST) ## Run the scorecard's tests of the bundle, built-in and own ones. Needs Linux, but no cluster.
	go run ./test/scorecard -bundle bundle -binary $(SCORECARD_TEST)
	go -C scorecard run . -bundle $(CURDIR)/bundle $(STATIC_TESTS)

##@ Test

.PHONY: test
test: test-unit test-integration test-e2e test-plugin ## Run all tests that need no root.

# Packages whose tests start a cluster.
CLUSTER_TESTS := /test/(cluster|integration|e2e)(/|$$)

# Go reuses a result although files outside of the module have changed, so the tests of other modules always run.
.PHONY: test-unit
test-unit: ## Run the tests that need nothing but Go.
	packages=$$(go list ./... | grep -Ev '$(CLUSTER_TESTS)'); go test $$packages
	cd $(PLUGIN_MODULE) && packages=$$(go list ./... | grep -v '/e2e$$') && go test -count=1 $$packages
	cd scorecard && go test -count=1 ./...
	cd tools/generate && go test -count=1 ./...
	cd tools/helm && go test -count=1 ./...
	cd test/gitops && go test -count=1 ./...
	cd test/prometheus && go test -count=1 ./...
	cd test/nodes && packages=$$(go list ./... | grep -Ev '/(e2e|helm)$$') && go test -count=1 $$packages
	cd tools/images && go test -count=1 . ./image
	cd tools/pictures && go test -count=1 ./...
	cd tools/olm && go test -count=1 ./...

# The fuzzers of all packages: <package>:<fuzzer>.
FUZZERS = $(shell grep -rho --include='*_test.go' -H '^func Fuzz[A-Za-z]*' internal | \
	sed -E 's|^(.*)/[^/]*:func (Fuzz.*)|./\1:\2|')

.PHONY: fuzz
fuzz: ## Run each fuzzer for longer than its seeds, which test-unit runs (FUZZTIME=10m).
	for fuzzer in $(FUZZERS); do echo "--- $$fuzzer"; \
		go test -run '^$$' -fuzz "^$${fuzzer##*:}$$" -fuzztime $(FUZZTIME) "$${fuzzer%%:*}"; done

.PHONY: test-integration
test-integration: cluster ## Run the tests against a real API server, and those of the test cluster.
	KUBEBUILDER_ASSETS=$(CLUSTER) go test -count=1 -timeout $(INTEGRATION_TIMEOUT) ./test/integration/... ./test/cluster/...

.PHONY: test-random-sets
test-random-sets: cluster ## Check that no child of a random LeaderWorkerSet is refused that was accepted (SETS=100000).
	KUBEBUILDER_ASSETS=$(CLUSTER) go test -count=1 -v -timeout 2h -run '^TestChildrenOfRandomSets$$' \
		./test/integration -sets $(SETS)

.PHONY: test-e2e
test-e2e: cluster build ## Run the end-to-end tests: the operator in a real control plane with simulated nodes.
	go test -count=1 -timeout $(E2E_TIMEOUT) ./test/e2e/... $(E2E_FLAGS)

.PHONY: test-plugin
test-plugin: cluster build ## Run every verb of the kubectl plugin on a real control plane with simulated nodes.
	cd $(PLUGIN_MODULE) && go test -count=1 -timeout $(E2E_TIMEOUT) ./e2e $(PLUGIN_FLAGS)

# The end-to-end tests in which versions of Kubernetes can differ most.
OLDEST_TESTS := ^Test(Local)?(Claims|Delete|Exclusive|Failures|LeaderReady|Rollout|Sample|Scale|Status|Takeover|Teardown)

.PHONY: test-oldest
test-oldest: ## Run the integration tests and some end-to-end tests on the oldest version of Kubernetes.
	$(MAKE) test-integration test-e2e KUBERNETES=$(OLDEST_KUBERNETES) E2E_FLAGS="-run '$(OLDEST_TESTS)'"

.PHONY: test-matrix
test-matrix: ## Run the integration and end-to-end tests on every version of Kubernetes. Takes an hour or more.
	@test/matrix.sh $(EARLIER_KUBERNETES) $(NEWEST_KUBERNETES)

.PHONY: test-chaos
test-chaos: ## Hurt the operator on a real control plane, and judge it from a watch of the pods (MINUTES=5 SEED=1).
	go run ./test/chaos -minutes $(MINUTES) -seed $(SEED) -out $(BIN)/chaos -logs $(BIN)/chaos

.PHONY: chaos-report
chaos-report: ## Write the report of a long run into docs/operate/chaos.md (MINUTES=60 SEED=1).
	go run ./test/chaos -minutes $(MINUTES) -seed $(SEED) -out $(BIN)/chaos -logs $(BIN)/chaos -document docs/operate/chaos.md

.PHONY: test-alerts
test-alerts: cluster $(PROMETHEUS) ## Make each alert fire by a real fault, and run the dashboards' queries. Takes ten minutes.
	go run ./test/alerts -prometheus $(PROMETHEUS) -out $(BIN)/alerts -logs $(BIN)/alerts/logs

.PHONY: alerts-report
alerts-report: cluster $(PROMETHEUS) ## The same, and write the table and the pictures of the dashboards into docs/operate.
	go run ./test/alerts -prometheus $(PROMETHEUS) -out $(BIN)/alerts -logs $(BIN)/alerts/logs \
		-document docs/operate/monitoring.md
	cd tools/pictures && go run . $(CURDIR)/config/grafana $(BIN)/alerts $(CURDIR)/docs/operate

.PHONY: bench
bench: ## Measure what the operator costs (GROUPS=500 SIZE=4): tables, and bin/bench with the report and plots.
	go run ./test/bench -groups $(GROUPS) -size $(SIZE) -out $(BIN)/bench $(BENCH_FLAGS)

.PHONY: bench-summary
bench-summary: ## Measure the summary of docs/operate/benchmarks.md and write it there (PIECES=recovery,rollout-30 RUNS=3).
	go run ./test/bench -summary $(PIECES) -runs $(RUNS) -keep -out $(BIN)/bench-summary \
		-document docs/operate/benchmarks.md $(BENCH_FLAGS)

# The other controller is built with the dependencies of its own go.mod, and installed by its own manifests.
COMPARE := $(BIN)/compare
COMPARE_MODULE := test/compare/go.mod test/compare/go.sum
$(COMPARE)/lws: $(COMPARE_MODULE)
	$(call go-tool,test/compare,sigs.k8s.io/lws/cmd)
	ln -sfn "$$(cd test/compare && go list -mod=readonly -m -f '{{.Dir}}' sigs.k8s.io/lws)" $(COMPARE)/source

.PHONY: compare
compare: $(COMPARE)/lws ## Measure kubernetes-sigs/lws and this operator in turn, and write the table of docs/operate/comparison.md.
	go build -o $(COMPARE)/bench ./test/bench
	$(COMPARE)/bench -controller test/compare/lws.yaml $(COMPARE_FLAGS) -out $(COMPARE)/other
	$(COMPARE)/bench $(COMPARE_FLAGS) -out $(COMPARE)/ours \
		-compare $(COMPARE)/other/report.json -document docs/operate/comparison.md

.PHONY: bench-teardown
bench-teardown: ## Compare ways to delete the pods of a group: one request each, or one for all.
	go run ./test/bench/teardown
	go run ./test/bench/teardown -cluster -others 0

.PHONY: cluster
cluster: ## Build the test cluster (KUBERNETES=1.34): bin/cluster. The first time takes some minutes.
	go run ./test/cluster/cmd/cluster build

$(CLUSTER)/kubectl:
	go run ./test/cluster/cmd/cluster build

##@ Real nodes: Linux and root

NODES := $(BIN)/nodes/nodes

.PHONY: nodes-deps
nodes-deps: ## Install the Debian packages that nodes need.
	apt-get update
	apt-get install --yes --no-install-recommends $$(cd test/nodes && go run ./cmd/nodes packages)

.PHONY: nodes
nodes: ## Build kubelet, containerd and the rest of a real node: bin/nodes. The first time takes some minutes.
	cd test/nodes && go run ./cmd/nodes build

.PHONY: nodes-up
nodes-up: nodes ## Start a cluster with real nodes.
	$(NODES) up

.PHONY: nodes-down
nodes-down: ## Stop what nodes-up started.
	$(NODES) down

.PHONY: nodes-olm
nodes-olm: $(OPM) ## Install the Operator Lifecycle Manager in that cluster. The first time it takes some minutes to build.
	$(NODES) olm

# The cluster goes, whatever comes of the tests.
.PHONY: test-e2e-nodes
test-e2e-nodes: nodes build-installer ## Run the tests that need real nodes, in a cluster of their own.
	access=$$($(NODES) up --nodes 5); eval "$$access"; trap '$(NODES) down' EXIT; \
		cd test/nodes && go test -count=1 -timeout $(NODES_TIMEOUT) ./e2e \
		-power "$(NODES) node" -kubectl $(CLUSTER)/kubectl $(NODES_FLAGS)

.PHONY: test-e2e-olm
test-e2e-olm: nodes $(OPM) $(OPERATOR_SDK) $(SCORECARD_TEST) $(PROMETHEUS) ## Run the tests that need the Operator Lifecycle Manager, in a cluster of their own.
	access=$$($(NODES) up); eval "$$access"; trap '$(NODES) down' EXIT; $(NODES) olm; \
		cd test/nodes && go test -v -count=1 -timeout $(NODES_TIMEOUT) ./olm/e2e $(NODES_FLAGS)

.PHONY: test-e2e-helm
test-e2e-helm: nodes chart $(HELM) ## Install, upgrade and remove the operator with Helm, in a cluster with real nodes of its own.
	access=$$($(NODES) up); eval "$$access"; trap '$(NODES) down' EXIT; \
		cd test/nodes && go test -v -count=1 -timeout $(NODES_TIMEOUT) ./helm \
		-helm $(HELM) -chart $(CURDIR)/$(CHART) $(NODES_FLAGS)

##@ Demo

.PHONY: demo
demo: ## Start a local cluster with the operator in it.
	go run ./test/demo up

.PHONY: demo-down
demo-down: ## Stop what demo started.
	go run ./test/demo down

##@ Deployment

# A kubectl that make can build, if it is that one.
KUBECTL_TARGET := $(filter $(BIN)/%,$(KUBECTL))

.PHONY: install
install: $(KUBECTL_TARGET) ## Install the CRD in the cluster that kubectl is set to.
	$(KUBECTL) apply -k config/crd

# delete: uninstall deletes the CRD although there are LeaderWorkerSets.
CONFIRM ?=

.PHONY: uninstall
uninstall: $(KUBECTL_TARGET) ## Remove the CRD. With CONFIRM=delete also if there are LeaderWorkerSets: they and their pods are deleted.
	@sets=$$($(KUBECTL) get leaderworkersets.leaderworkerset.x-k8s.io --all-namespaces --no-headers --ignore-not-found \
			2>&1) || { [[ $$sets == *"doesn't have a resource type"* ]] && sets=; } || { echo "$$sets" >&2; exit 1; }; \
		if [[ -n $$sets && '$(CONFIRM)' != delete ]]; then \
			echo 'The CRD stays. With it, these LeaderWorkerSets and all their pods would be deleted:' >&2; \
			echo "$$sets" >&2; echo "To delete them all: make uninstall CONFIRM=delete" >&2; exit 1; \
		fi
	$(KUBECTL) delete --ignore-not-found -k config/crd

# The kustomization to deploy: default, or certmanager for a cluster that has cert-manager.
CONFIG ?= default

# Sets IMG in an overlay, so that deploying changes no file of the repository.
define DEPLOY_OVERLAY
resources:
- ../../config/$(CONFIG)
patches:
- target: {kind: Deployment}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: $(IMG)
endef
export DEPLOY_OVERLAY

# The same without the CRD.
define UNDEPLOY_OVERLAY
resources:
- ../deploy
components:
- ../../config/without-crd
endef
export UNDEPLOY_OVERLAY

.PHONY: deploy-overlay
deploy-overlay: $(KUSTOMIZE)
	mkdir -p $(BIN)/deploy $(BIN)/undeploy
	echo "$$DEPLOY_OVERLAY" > $(BIN)/deploy/kustomization.yaml
	echo "$$UNDEPLOY_OVERLAY" > $(BIN)/undeploy/kustomization.yaml

.PHONY: build-installer
build-installer: deploy-overlay ## Write what deploy applies and what undeploy deletes into dist/install.yaml and dist/uninstall.yaml.
	mkdir -p dist
	$(KUSTOMIZE) build $(BIN)/deploy > dist/install.yaml
	$(KUSTOMIZE) build $(BIN)/undeploy > dist/uninstall.yaml

.PHONY: deploy
deploy: deploy-overlay $(KUBECTL_TARGET) ## Deploy the operator with image IMG, by cert-manager's certificates if CONFIG=certmanager.
	$(KUSTOMIZE) build $(BIN)/deploy | $(KUBECTL) apply -f -

.PHONY: undeploy
undeploy: deploy-overlay $(KUBECTL_TARGET) ## Remove the operator. The CRD, the LeaderWorkerSets and their pods stay: see uninstall.
	$(KUSTOMIZE) build $(BIN)/undeploy | $(KUBECTL) delete --ignore-not-found -f -

##@ Tools

# Each group of tools is a Go module, which names their versions: a change of one builds its tools again.
.PHONY: controller-gen kustomize golangci-lint operator-sdk opm
controller-gen: $(CONTROLLER_GEN) ## Build bin/controller-gen.
kustomize: $(KUSTOMIZE) ## Build bin/kustomize.
golangci-lint: $(GOLANGCI_LINT) ## Build bin/golangci-lint.
operator-sdk: $(OPERATOR_SDK) ## Build bin/operator-sdk.
opm: $(OPM) ## Build bin/opm.

GENERATE_MODULE := tools/generate/go.mod tools/generate/go.sum
LINT_MODULE := tools/lint/go.mod tools/lint/go.sum
PROMETHEUS_MODULE := test/prometheus/go.mod test/prometheus/go.sum
SBOM_MODULE := tools/sbom/go.mod tools/sbom/go.sum
VULNERABILITIES_MODULE := tools/vulnerabilities/go.mod tools/vulnerabilities/go.sum
HELM_MODULE := tools/helm/go.mod tools/helm/go.sum
OLM_MODULE := tools/olm/go.mod tools/olm/go.sum

$(CONTROLLER_GEN): $(GENERATE_MODULE)
	$(call go-tool,tools/generate,sigs.k8s.io/controller-tools/cmd/controller-gen,\
		-X sigs.k8s.io/controller-tools/pkg/version.version=$(call version-of,tools/generate,sigs.k8s.io/controller-tools))

$(KUSTOMIZE): $(GENERATE_MODULE)
	$(call go-tool,tools/generate,sigs.k8s.io/kustomize/kustomize/v5)

$(CRD_REF_DOCS): $(GENERATE_MODULE)
	$(call go-tool,tools/generate,github.com/elastic/crd-ref-docs)

$(CRDFIT): $(GENERATE_MODULE) $(wildcard tools/generate/crdfit/*.go)
	$(call go-tool,tools/generate,./crdfit)

$(BUNDLEFIT): $(GENERATE_MODULE) $(wildcard tools/generate/bundlefit/*.go)
	$(call go-tool,tools/generate,./bundlefit)

$(GOLANGCI_LINT): $(LINT_MODULE)
	$(call go-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

# Prometheus is built in its own module, whose go.mod has the versions of what it is made of. Its targets are given by
# address here, so the clients that discover targets are left out.
$(PROMETHEUS): $(PROMETHEUS_MODULE)
	module=github.com/prometheus/prometheus; cd test/prometheus; go mod download $$module; \
		cd "$$(go list -mod=readonly -m -f '{{.Dir}}' $$module)"; $(call go-build,$@,./cmd/prometheus,,remove_all_sd)

$(CYCLONEDX_GOMOD): $(SBOM_MODULE)
	$(call go-tool,tools/sbom,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod)

$(HELM): $(HELM_MODULE)
	$(call go-tool,tools/helm,helm.sh/helm/v4/cmd/helm,\
		-X helm.sh/helm/v4/internal/version.version=$(call version-of,tools/helm,helm.sh/helm/v4))

$(GOVULNCHECK): $(VULNERABILITIES_MODULE)
	$(call go-tool,tools/vulnerabilities,golang.org/x/vuln/cmd/govulncheck)

$(INDEXDB): $(VULNERABILITIES_MODULE)
	$(call go-tool,tools/vulnerabilities,$(VULNDB)/cmd/indexdb)

# Without btrfs and GPG, which need C libraries.
SDK_TAGS := containers_image_openpgp,exclude_graphdriver_btrfs
OPM_TAGS := json1,$(SDK_TAGS)
SDK_VERSION_PACKAGE := github.com/operator-framework/operator-sdk/internal/version

# The SDK writes its own version into what it generates.
$(OPERATOR_SDK): SDK_VERSION = $(call version-of,tools/olm,github.com/operator-framework/operator-sdk)
$(OPERATOR_SDK): $(OLM_MODULE)
	$(call go-tool,tools/olm,github.com/operator-framework/operator-sdk/cmd/operator-sdk,\
		-X $(SDK_VERSION_PACKAGE).Version=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).GitVersion=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).ImageVersion=$(SDK_VERSION) \
		-X $(SDK_VERSION_PACKAGE).KubernetesVersion=$(patsubst v0.%,v1.%,$(call version-of,tools/olm,k8s.io/api)),\
		$(SDK_TAGS))

# OLM runs this program in the pods of catalogs.
HEALTH_PROBE_PACKAGE := github.com/grpc-ecosystem/grpc-health-probe

OPM_PACKAGE := github.com/operator-framework/operator-registry/cmd/opm
OPM_LDFLAGS = -X $(OPM_PACKAGE)/version.opmVersion=$(call version-of,tools/olm,github.com/operator-framework/operator-registry)
$(OPM): $(OLM_MODULE)
	$(call go-tool,tools/olm,$(OPM_PACKAGE),$(OPM_LDFLAGS),$(OPM_TAGS))

$(CRDIFY): $(OLM_MODULE)
	$(call go-tool,tools/olm,sigs.k8s.io/crdify)

$(SCORECARD_TEST): $(OLM_MODULE)
	$(call go-tool,tools/olm,github.com/operator-framework/operator-sdk/images/scorecard-test,,$(SDK_TAGS))

# Functions for the recipes above.

# Every module of the repository.
ALL_MODULES = $(patsubst %/,%,$(dir $(shell git ls-files --cached --others --exclude-standard go.mod '*/go.mod')))

# $(call in-each,modules,command) runs the command in each module, and says which.
in-each = for module in $(1); do echo "--- module $$module"; (cd $$module && $(2)) || exit 1; done

# $(call for-earlier,command) runs a go command in the module of test clusters for each earlier version of Kubernetes.
for-earlier = for version in $(EARLIER_KUBERNETES); do echo "--- module $(CLUSTER_MODULE), Kubernetes $$version"; \
	(cd $(CLUSTER_MODULE) && $(1) -modfile=$$version.mod) || exit 1; done

# $(call go-build,file,package,ldflags,tags) builds a program, the same wherever it is built.
go-build = go build -mod=readonly -trimpath -buildvcs=false -tags '$(strip $(4))' -ldflags '-s -w $(strip $(3))' -o $(1) $(2)

# $(call go-tool,module,package,ldflags,tags) builds a target from a package of a module.
go-tool = cd $(1) && $(call go-build,$@,$(2),$(3),$(4))

# $(call write-sbom,name,program) writes the software bill of materials of a program: dist/<name>.cdx.json.
write-sbom = $(CYCLONEDX_GOMOD) bin -json -std -noserial -notimestamp -version $(VERSION) -output dist/$(1).cdx.json $(2)

# $(call cross-build,module,program,package,ldflags,tags) builds a program for all architectures: bin/linux-<architecture>/<program>.
cross-build = cd $(1) && for arch in $(ARCHITECTURES); do \
	GOOS=linux GOARCH=$$arch $(call go-build,$(BIN)/linux-$$arch/$(2),$(3),$(4),$(5)); done

# $(call build-image,image) makes an image of the programs in bin/linux-<architecture>: bin/images/<image>.tar.
build-image = go -C tools/images run . build -root $(CURDIR) -programs '$(BIN)/linux-{arch}' -output $(BIN)/images \
	-repository $(IMAGE_REPOSITORY) -version $(VERSION) -created $(RELEASE_TIME) \
	-architectures '$(ARCHITECTURES)' $(1)

# $(call version-of,module,dependency) is the version that a module requires of a dependency.
version-of = $(shell cd $(1) && go list -mod=readonly -m -f '{{.Version}}' $(2))
