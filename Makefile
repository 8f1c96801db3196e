# Everything a developer or CI runs. `make` alone lists it. Needed are Go, make and, for a local cluster, root on a machine
# with apt; everything else is built from pinned Go modules into bin/ and $XDG_CACHE_HOME.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# What is built and where it runs. See the targets that use them.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMG ?= spider-operator:dev
SPIDER_IMG ?= spider-demo-scrapy:dev
CLUSTER ?= local
VULNDB ?= https://vuln.go.dev
E2E ?= on
RACE ?= off
SEEDS ?= 100000
FROM ?= 1
TROUBLES ?= all
WITHOUT ?=

export GOTOOLCHAIN ?= local

BIN := $(CURDIR)/bin
CHART := charts/spider-operator
KUBECTL ?= $(or $(shell command -v kubectl),$(BIN)/kubectl)
# The Go modules that are checked: the product, development's programs, and the tests that need more than Go.
MODULES := . hack test

# The files that generate, manifests and chart write.
GENERATED = api/v1alpha1/zz_generated.deepcopy.go docs/api.md docs/configuration.md apiserver/contract/contract.gen.go client/types.gen.go \
	config charts/spider-operator/files

# hack-run runs one of development's programs, built like all others, so that the standard library is compiled once.
hack-run := CGO_ENABLED=0 GOFLAGS=-trimpath go -C hack run

TEST_TOOLS = $(BIN)/gotestsum $(BIN)/helm $(BIN)/promtool
# The end-to-end tests run against the demo's operator and spiders, and the demo is the first of them.
E2E_SYSTEM = demo build $(BIN)/kubectl $(BIN)/prometheus
# run-tests runs suites under one gotestsum, so that the last lines sum all of them up. Before these come the ten slowest tests.
run-tests = RACE=$(RACE) HELM=$(BIN)/helm PROMTOOL=$(BIN)/promtool KUBECTL=$(BIN)/kubectl SPIDER_OPERATOR=$(BIN)/spider-operator \
	$(BIN)/gotestsum --format pkgname --format-hide-empty-pkg --jsonfile=$(BIN)/events.json --raw-command -- hack/test.sh $(1) | \
	awk '/^DONE / { print "=== Slowest"; fflush(); system("$(BIN)/gotestsum tool slowest --num=10 --jsonfile=$(BIN)/events.json") } \
		{ print; fflush() }'

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make <target> [VARIABLE=value]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##@ Try it

.PHONY: demo
demo: announce-demo $(BIN)/helm ## From nothing to a finished spider job, on a real Kubernetes. CLUSTER=current uses your own (IMG, SPIDER_IMG).
	@$(hack-run) ./demo --cluster=$(CLUSTER) --helm=$(BIN)/helm --image=$(IMG) --spider-image=$(SPIDER_IMG)

.PHONY: env
env: ## Print the exports that point kubectl and REST clients at the demo: eval "$(make env)".
	@$(hack-run) ./demo env

.PHONY: cluster-up
cluster-up: ## Start the local cluster alone: a real control plane and one real node.
	@$(hack-run) ./cluster up

.PHONY: down
down: ## Stop the local cluster and put back what it changed of the machine.
	@$(hack-run) ./cluster down

##@ Development

.PHONY: generate
generate: $(BIN)/controller-gen $(BIN)/crd-ref-docs $(BIN)/oapi-codegen ## Write what is generated from types (code, docs/api.md) and from the REST contract.
	$(BIN)/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	$(call write-reference,api/v1alpha1,api.md)
	$(call write-reference,api/config/v1alpha1,configuration.md)
	$(BIN)/oapi-codegen -config apiserver/oapi-codegen.yaml apiserver/openapi.yaml
	$(BIN)/oapi-codegen -config client/oapi-codegen.yaml apiserver/openapi.yaml

# write-reference writes the page docs/$(2) from the types in $(1).
write-reference = $(BIN)/crd-ref-docs --log-level=ERROR --source-path=$(1) --config=hack/tools/crd-ref-docs/config.yaml \
	--templates-dir=hack/tools/crd-ref-docs/templates --renderer=markdown --output-path=docs/$(2)

.PHONY: manifests
manifests: $(BIN)/controller-gen $(BIN)/helm ## Write CustomResourceDefinitions and roles from markers, and config/ from the chart.
	$(BIN)/controller-gen crd:generateEmbeddedObjectMeta=true paths=./api/v1alpha1 output:crd:artifacts:config=config/crd/bases
	rm -f $(CHART)/files/crds/*.yaml && cp config/crd/bases/*.yaml $(CHART)/files/crds/
	$(call write-role,controller,./controllers/...)
	$(call write-role,apiserver,./apiserver)
	$(call write-role,apiserver-tokens,./apiserver/kube)
	HELM=$(BIN)/helm hack/render-config.sh

# write-role writes the rules of the role $(1), from the markers in the packages $(2), into the chart.
write-role = $(BIN)/controller-gen rbac:roleName=spider-operator-$(1) paths=$(2) output:rbac:stdout >$(CHART)/files/rbac/$(1).yaml

.PHONY: fmt
fmt: $(BIN)/golangci-lint ## Format the Go code.
	@for module in $(MODULES); do (cd $$module && $(BIN)/golangci-lint fmt --config $(CURDIR)/.golangci.yml); done

.PHONY: vet
vet: ## Run go vet.
	@for module in $(MODULES); do echo "go vet: $$module"; go -C $$module vet ./...; done

.PHONY: lint
lint: $(BIN)/golangci-lint ## Run golangci-lint, which checks the formatting too.
	@code=0; for module in $(MODULES); do \
		echo "golangci-lint: $$module"; (cd $$module && $(BIN)/golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml) || code=1; \
	done; exit $$code

.PHONY: build
build: ## Build the operator's binary for this machine: bin/spider-operator.
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN)/spider-operator ./cmd/spider-operator

.PHONY: run
run: install ## Run the controller here, against the current kubeconfig.
	go run ./cmd/spider-operator controller

##@ Test

.PHONY: test
test: announce-test $(TEST_TOOLS) chromium node $(if $(filter off,$(E2E)),,$(E2E_SYSTEM) reader) ## Run every test: unit, integration, browser, clients, end-to-end and crash. E2E=off leaves the last two out, RACE=on looks for data races.
	@code=0; $(call run-tests,unit integration browser clients $(if $(filter off,$(E2E)),,e2e crash)) || code=$$?; \
	[[ '$(E2E)' != off ]] || echo 'E2E=off: THE END-TO-END AND CRASH TESTS WERE LEFT OUT. Nothing has run on a real kubelet.'; \
	exit $$code

# Programs of Debian packages that the local cluster and its images need.
CLUSTER_PROGRAMS := containerd runc nft ip conntrack buildah mmdebstrap

.PHONY: announce-test announce-demo
announce-test:
	@hack/announce.sh bin/helm bin/gotestsum bin/promtool chromium npm $(if $(filter off,$(E2E)),,$(CLUSTER_PROGRAMS) curl jq)
announce-demo:
	@$(if $(filter local,$(CLUSTER)),hack/announce.sh bin/helm $(CLUSTER_PROGRAMS))

.PHONY: test-unit
test-unit: $(TEST_TOOLS) ## Run the tests that need nothing but Go and promtool, of all modules.
	@$(call run-tests,unit)

.PHONY: simulate
simulate: ## Let the controller live through SEEDS histories of a hostile cluster, from seed FROM on. TROUBLES=all,-clocks leaves kinds out.
	go test -v -count=1 -timeout 0 -run '^TestSimulation$$' ./controllers/spiderjob -args -simulate.seeds=$(SEEDS) -simulate.from=$(FROM) \
		-simulate.troubles=$(TROUBLES) -simulate.without='$(WITHOUT)'

.PHONY: test-integration
test-integration: $(TEST_TOOLS) ## Run the tests that need a real kube-apiserver and Job controller. No root, no node.
	@$(call run-tests,integration)

.PHONY: test-browser
test-browser: $(TEST_TOOLS) chromium ## Run the tests that need a browser, on a real kube-apiserver. Installs Chromium where root can.
	@$(call run-tests,browser)

.PHONY: test-clients
test-clients: $(TEST_TOOLS) node ## Run the clients that stock generators make from the contract, on a real kube-apiserver. Root gets npm installed.
	@$(call run-tests,clients)

# Before the tests, since whatever it says would be taken for a failure of theirs.
.PHONY: chromium
chromium:
	@test/browser/chromium.sh >/dev/null

.PHONY: test-e2e
test-e2e: $(TEST_TOOLS) $(E2E_SYSTEM) node reader ## Run the tests that need a real kubelet, on the local cluster, but for those that kill its components.
	@$(call run-tests,e2e)

.PHONY: test-crash
test-crash: $(TEST_TOOLS) $(E2E_SYSTEM) ## Kill the operator and every component of the local cluster under running jobs.
	@$(call run-tests,crash)

.PHONY: bench
bench: ## Compare SpiderJobs with bare Jobs on a real control plane, in some six minutes. BENCH="--jobs 2000" for more.
	@$(hack-run) ./load controller $(BENCH)

.PHONY: bench-api
bench-api: ## Measure the REST API with views of several sizes, in some minutes. BENCH_API="--jobs 1000,10000,100000" for more.
	@$(hack-run) ./load api $(BENCH_API)

.PHONY: bench-go
bench-go: ## Run the Go benchmarks of the product's own packages.
	go test -run '^$$' -bench . -benchmem ./api/... ./apiserver/... ./controllers/...

.PHONY: verify
verify: generate manifests ## Check that the generated files are those that their sources give.
	@if [[ -n "$$(git status --porcelain -- $(GENERATED))" ]]; then \
		git --no-pager diff -- $(GENERATED); git status --short -- $(GENERATED); \
		echo "Generated files were not up to date. They are now: commit them."; exit 1; \
	fi

.PHONY: ci
ci: ## What CI runs: generated files, vet, lint, the chart, then every test with the race detector.
	@$(MAKE) --no-print-directory verify vet lint chart
	@$(MAKE) --no-print-directory test RACE=on

##@ Release

# The files of a release are the same wherever they are made: hack/release/README.md. A rehearsal may have ALLOW_DIRTY=1.
.PHONY: release
release: $(BIN)/helm ## Make the files of the release VERSION=vX.Y.Z in dist/.
	@$(hack-run) ./release --root=$(CURDIR) --version='$(VERSION)' --out=$(CURDIR)/dist --helm=$(BIN)/helm \
		$(if $(ALLOW_DIRTY),--allow-dirty) build

.PHONY: licenses
licenses: ## List the licence of everything that is in the binary. That each is allowed is among the unit tests.
	@$(hack-run) ./release --root=$(CURDIR) licenses

.PHONY: vulncheck
vulncheck: $(BIN)/govulncheck ## Look for known vulnerabilities in what the binary calls. Not part of ci: it asks vuln.go.dev.
	@code=0; $(BIN)/govulncheck -db '$(VULNDB)' ./cmd/spider-operator || code=$$?; \
	case $$code in \
		0) ;; \
		3) echo 'VULNERABLE: see above.' ;; \
		*) echo 'NOT CHECKED: govulncheck did not come to an end. It has to reach $(VULNDB).' ;; \
	esac; exit $$code

##@ Images, chart, deployment

.PHONY: images
images: ## Build the operator's and the demo's images from their Dockerfiles, without Docker.
	@$(hack-run) ./images build

.PHONY: docker-build
docker-build: ## Build the operator's image IMG with Docker.
	docker build --build-arg VERSION=$(VERSION) -t $(IMG) .

.PHONY: docker-push
docker-push: ## Push the operator's image IMG with Docker.
	docker push $(IMG)

.PHONY: chart
chart: $(BIN)/helm ## Lint the chart. Its tests are among the unit tests.
	$(BIN)/helm lint --strict charts/spider-operator

.PHONY: helm
helm: $(BIN)/helm ## Build Helm, and print its path.
	@echo $<

.PHONY: promtool
promtool: $(BIN)/promtool ## Get promtool, which tests the alerts, and print its path.
	@echo $<

.PHONY: install
install: $(KUBECTL) ## Install the CustomResourceDefinitions into the cluster of the current kubeconfig.
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: uninstall
uninstall: $(KUBECTL) ## Delete the CustomResourceDefinitions, and with them every object of theirs.
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: $(BIN)/helm ## Install or upgrade the operator, image IMG, in the cluster of the current kubeconfig.
	img='$(IMG)'; $(BIN)/helm upgrade --install spider-operator charts/spider-operator --wait \
		--namespace spider-operator-system --create-namespace --take-ownership --force-conflicts \
		--set image.repository="$${img%:*}" --set image.tag="$${img##*:}"

.PHONY: undeploy
undeploy: $(BIN)/helm ## Remove the operator. CustomResourceDefinitions and their objects stay: see uninstall.
	$(BIN)/helm uninstall spider-operator --namespace spider-operator-system --ignore-not-found --wait

# The tools, of the versions that hack/tools pins.
build-tool = mkdir -p $(BIN) && $(hack-run) ./buildtool $(CURDIR)/$(<D) $(@F) $@ && touch $@

$(BIN)/helm $(BIN)/golangci-lint: $(BIN)/%: hack/tools/%/go.mod hack/tools/%/go.sum
	@$(build-tool)

$(BIN)/controller-gen $(BIN)/crd-ref-docs $(BIN)/gotestsum $(BIN)/govulncheck $(BIN)/helm-docs $(BIN)/oapi-codegen: hack/tools/go.mod hack/tools/go.sum
	@$(build-tool)

# Tests run clients that are generated from the contract, two of them in TypeScript, and the commands of the documentation.
.PHONY: node
node:
	@$(call debian-package,npm,the generated clients need)

.PHONY: reader
reader:
	@$(call debian-package,curl,the documentation uses)
	@$(call debian-package,jq,the documentation uses)

# debian-package installs a Debian package where the program of its name is missing; $(2) says who needs it.
debian-package = command -v $(1) >/dev/null || { \
		(( EUID == 0 )) && command -v apt-get >/dev/null || \
			{ echo "$(1) is missing, which $(2). Root gets it installed, on Debian."; exit 1; }; \
		echo "Installing $(1)"; \
		apt-get -qq install --yes --no-install-recommends $(1) || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends $(1); }; \
	}

# Prometheus and its own test program for rules: the machine's, else out of Debian's package, which is unpacked and not installed.
$(BIN)/promtool $(BIN)/prometheus:
	@mkdir -p $(BIN)
	@if path=$$(command -v $(@F)); then ln -sf "$$path" $@; exit; fi; \
	if ! command -v apt-get dpkg-deb >/dev/null; then \
		echo "$(@F) is missing. It is part of Prometheus: install that."; exit 1; \
	fi; \
	echo "Getting $(@F) out of Debian's package prometheus"; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cd "$$dir"; \
	apt-get -qq download prometheus 2>/dev/null || { (( EUID != 0 )) || apt-get -qq update; apt-get -qq download prometheus; } || { \
		echo "$(@F) is missing: apt knows no package prometheus. Root may have to run: apt-get update"; exit 1; \
	}; \
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/$(@F) >$(@F); \
	install $(@F) $@

$(BIN)/kubectl:
	@mkdir -p $(BIN)
	@ln -sf "$$($(hack-run) ./cluster assets)/kubectl" $@
