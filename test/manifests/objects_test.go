package manifests

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// renderings returns what the chart renders for each of its values files, and what is in config/default, by name.
func renderings(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	rendered := map[string][]*unstructured.Unstructured{"kustomize": kustomize(t, "default")}
	for name, values := range valuesFiles(t) {
		rendered["chart/"+name] = mustTemplate(t, "--values", values)
	}
	return rendered
}

// TestObjectsFitTheirTypes checks that every object is one that Kubernetes knows, with no field that it does not know.
func TestObjectsFitTheirTypes(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			for _, object := range objects {
				if group := object.GroupVersionKind().Group; group == "monitoring.coreos.com" || group == "cert-manager.io" {
					continue // The kinds of the Prometheus operator and of cert-manager: their types are not among Kubernetes'.
				}
				if _, _, err := strict.Decode(toYAML(t, object), nil, nil); err != nil {
					t.Errorf("%s: %v", describe(object), err)
				}
			}
		})
	}
}

// TestObjectsAreLabelled checks that every label value is one that Kubernetes accepts, and that every object says what it
// belongs to.
func TestObjectsAreLabelled(t *testing.T) {
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			for _, object := range objects {
				labels := object.GetLabels()
				for name, value := range labels {
					for _, problem := range validation.IsValidLabelValue(value) {
						t.Errorf("%s: label %s=%q: %s", describe(object), name, value, problem)
					}
				}
				if object.GetKind() != "ConfigMap" && labels["app.kubernetes.io/part-of"] != "spider-operator" {
					t.Errorf("%s: has no label app.kubernetes.io/part-of", describe(object))
				}
			}
		})
	}
}

// TestPodsAreRestricted checks that the operator's own Pods are admitted where the namespace enforces the restricted Pod
// Security Standard.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			pods := podTemplates(t, objects)
			if len(pods) == 0 {
				t.Fatal("no Pod was rendered")
			}
			for name, pod := range pods {
				result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
				if !result.Allowed {
					t.Errorf("%s is refused: %s", name, result.ForbiddenDetail())
				}
				for _, container := range pod.Spec.Containers {
					if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
						t.Errorf("%s: the root file system of container %s can be written", name, container.Name)
					}
				}
			}
		})
	}
}

// podTemplates returns what Deployments among objects make Pods of, and the Pods among them, by what they are.
func podTemplates(t *testing.T, objects []*unstructured.Unstructured) map[string]corev1.PodTemplateSpec {
	t.Helper()
	pods := map[string]corev1.PodTemplateSpec{}
	for _, deployment := range deployments(t, objects) {
		pods["Deployment "+deployment.Name] = deployment.Spec.Template
	}
	for _, pod := range typed[corev1.Pod](t, ofKind(objects, "Pod")) {
		pods["Pod "+pod.Name] = corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	}
	return pods
}

// deployments returns the Deployments among objects, typed.
func deployments(t *testing.T, objects []*unstructured.Unstructured) []*appsv1.Deployment {
	t.Helper()
	return typed[appsv1.Deployment](t, ofKind(objects, "Deployment"))
}

// typed converts objects to the type of their kind.
func typed[T any](t *testing.T, objects []*unstructured.Unstructured) []*T {
	t.Helper()
	converted := make([]*T, len(objects))
	for i, object := range objects {
		converted[i] = new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, converted[i]); err != nil {
			t.Fatalf("%s: %v", describe(object), err)
		}
	}
	return converted
}

// TestServiceAndProbesFitTLS checks that with TLS everything that reaches the API by the name of its port still does. The
// kubelet asks on the private port, which has none.
func TestServiceAndProbesFitTLS(t *testing.T) {
	objects := mustTemplate(t, "--set", "apiserver.tls.secretName=api-tls,apiserver.ingress.enabled=true,networkPolicy.enabled=true",
		"--set", "apiserver.trustedProxies={10.0.0.0/8}")
	for _, deployment := range deployments(t, objects) {
		if !strings.HasSuffix(deployment.Name, "-apiserver") {
			continue
		}
		pod := deployment.Spec.Template.Spec
		container := pod.Containers[0]
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
			if probe.HTTPGet.Scheme != "" || probe.HTTPGet.Port.StrVal != "metrics" {
				t.Errorf("a probe asks %+v", probe.HTTPGet)
			}
		}
		if secrets := secretVolumes(pod); len(secrets) != 1 || secrets["tls"] != "api-tls" {
			t.Fatalf("volumes of Secrets %v", secrets)
		}
		tls := slices.IndexFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool { return mount.Name == "tls" })
		mounted := container.VolumeMounts[tls].MountPath
		for _, flag := range []string{"--tls-cert-file=" + mounted + "/tls.crt", "--tls-key-file=" + mounted + "/tls.key"} {
			if !slices.Contains(container.Args, flag) {
				t.Errorf("the arguments %v have no %s", container.Args, flag)
			}
		}
		if !slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == "https" }) {
			t.Errorf("ports %v", container.Ports)
		}
	}
	for _, object := range ofKind(objects, "Service", "Ingress", "NetworkPolicy") {
		if text := string(toYAML(t, object)); strings.Contains(text, "http\n") {
			t.Errorf("%s still mentions http:\n%s", describe(object), text)
		}
	}
}

// TestIssuedCertificateIsServed checks that a certificate that cert-manager issues is written where the API reads it, and is
// for the names that it is reached by.
func TestIssuedCertificateIsServed(t *testing.T) {
	for secret, args := range map[string][]string{
		"spider-operator-apiserver-tls": nil,
		"api-tls":                       {"--set", "apiserver.tls.secretName=api-tls"},
	} {
		args = append(args, "--set", "apiserver.tls.certificate.enabled=true,apiserver.tls.certificate.issuerRef.name=internal",
			"--set", "apiserver.tls.certificate.dnsNames={spiders.example.org}")
		objects := mustTemplate(t, args...)
		certificates := ofKind(objects, "Certificate")
		if len(certificates) != 1 {
			t.Fatalf("%d Certificates were rendered", len(certificates))
		}
		spec, _ := certificates[0].Object["spec"].(map[string]any)
		if spec["secretName"] != secret {
			t.Errorf("the certificate is issued into %v, want %s", spec["secretName"], secret)
		}
		service := "spider-operator-apiserver"
		names := []any{service, service + "." + releaseNamespace, service + "." + releaseNamespace + ".svc", "spiders.example.org"}
		if diff := cmp.Diff(names, spec["dnsNames"]); diff != "" {
			t.Errorf("the names (-want +got):\n%s", diff)
		}
		for _, deployment := range deployments(t, objects) {
			if secrets := secretVolumes(deployment.Spec.Template.Spec); strings.HasSuffix(deployment.Name, "-apiserver") &&
				(len(secrets) != 1 || secrets["tls"] != secret) {
				t.Errorf("the API reads %v, want the Secret %s", secrets, secret)
			}
		}
	}
}

// secretVolumes are the names of the Secrets that a Pod has as volumes, by the volumes' names.
func secretVolumes(pod corev1.PodSpec) map[string]string {
	secrets := map[string]string{}
	for i := range pod.Volumes {
		if secret := pod.Volumes[i].Secret; secret != nil {
			secrets[pod.Volumes[i].Name] = secret.SecretName
		}
	}
	return secrets
}

// TestServiceIsWhatTheValuesSay checks that the values of the Service go into its spec, and that fields without a value of
// their own are merged over all of it.
func TestServiceIsWhatTheValuesSay(t *testing.T) {
	objects := mustTemplate(t, "--set", "apiserver.service.type=LoadBalancer,apiserver.service.externalTrafficPolicy=Local",
		"--set", "apiserver.service.loadBalancerSourceRanges={192.0.2.0/24,2001:db8::/32}",
		"--set", "apiserver.service.extraSpec.sessionAffinity=ClientIP,apiserver.service.extraSpec.type=NodePort")
	for _, service := range typed[corev1.Service](t, ofKind(objects, "Service")) {
		if !strings.HasSuffix(service.Name, "-apiserver") {
			continue
		}
		spec := service.Spec
		if spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || len(spec.LoadBalancerSourceRanges) != 2 ||
			spec.SessionAffinity != corev1.ServiceAffinityClientIP || spec.Type != corev1.ServiceTypeNodePort || len(spec.Ports) != 1 {
			t.Errorf("the Service is %+v", spec)
		}
		return
	}
	t.Error("there is no Service of the REST API")
}

// TestAnIngressRequiresTrustedProxies checks that an Ingress without trusted proxies is refused: it would give all callers one
// address.
func TestAnIngressRequiresTrustedProxies(t *testing.T) {
	if _, err := template(t, "--set", "apiserver.ingress.enabled=true"); err == nil ||
		!strings.Contains(err.Error(), "apiserver.trustedProxies") {
		t.Errorf("error %v, want one that names apiserver.trustedProxies", err)
	}
	mustTemplate(t, "--set", "apiserver.ingress.enabled=true,apiserver.trustedProxies={10.0.0.0/8}")
	mustTemplate(t, "--set", "apiserver.ingress.enabled=true,apiserver.enabled=false")
}

// TestEachReleaseHasItsOwnFlowSchema checks that each release has a FlowSchema of another name, since these are not
// namespaced, for its own account alone, and only where it makes ClusterRoles, too.
func TestEachReleaseHasItsOwnFlowSchema(t *testing.T) {
	for set, want := range map[string]int{
		"apiserver.enabled=true":                                   1,
		"watchNamespaces={a},rbac.userRoles=false":                 0,
		"rbac.create=false":                                        0,
		"apiserver.flowSchema.enabled=false":                       0,
		"apiserver.enabled=false":                                  0,
		"apiserver.serviceAccount.name=other,fullnameOverride=abc": 1,
	} {
		schemas := typed[flowcontrolv1.FlowSchema](t, ofKind(mustTemplate(t, "--set", set), "FlowSchema"))
		if len(schemas) != want {
			t.Errorf("%s: %d FlowSchemas, want %d", set, len(schemas), want)
		}
		for _, schema := range schemas {
			if !strings.HasPrefix(schema.Name, releaseNamespace+"-") ||
				schema.Spec.DistinguisherMethod.Type != flowcontrolv1.FlowDistinguisherMethodByNamespaceType ||
				schema.Spec.PriorityLevelConfiguration.Name != "workload-low" || schema.Spec.MatchingPrecedence >= 9000 {
				t.Errorf("%s: %s is %+v", set, schema.Name, schema.Spec)
			}
			account := schema.Spec.Rules[0].Subjects[0].ServiceAccount
			for _, pod := range deployments(t, mustTemplate(t, "--set", set)) {
				if name := pod.Spec.Template.Spec.ServiceAccountName; strings.HasSuffix(pod.Name, "-apiserver") &&
					(account.Name != name || account.Namespace != releaseNamespace) {
					t.Errorf("%s: it is of %+v, and the process's account is %s", set, account, name)
				}
			}
		}
	}
}

// TestAutoscalersTargetIsAboveIdleUse checks the target: an almost idle replica uses some 40 millicores at times, and a target
// below that would make as many replicas as there may be.
func TestAutoscalersTargetIsAboveIdleUse(t *testing.T) {
	scalers := typed[autoscalingv2.HorizontalPodAutoscaler](t,
		ofKind(mustTemplate(t, "--set", "apiserver.autoscaling.enabled=true"), "HorizontalPodAutoscaler"))
	if len(scalers) != 1 {
		t.Fatalf("%d autoscalers", len(scalers))
	}
	target := scalers[0].Spec.Metrics[0].Resource.Target
	if target.Type != autoscalingv2.AverageValueMetricType || target.AverageValue.MilliValue() < 200 {
		t.Errorf("the target is %+v", target)
	}
}

// TestUninstallKeepsCRDsByDefault checks that uninstalling keeps the CustomResourceDefinitions, and with them everyone's jobs,
// by default.
func TestUninstallKeepsCRDsByDefault(t *testing.T) {
	tests := map[string]struct {
		args   []string
		crds   int
		policy string
	}{
		"by default":       {crds: 5, policy: "keep"},
		"unless told not":  {args: []string{"--set", "crds.keep=false"}, crds: 5},
		"not when not had": {args: []string{"--set", "crds.enabled=false"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			crds := ofKind(mustTemplate(t, test.args...), kindCRD)
			if len(crds) != test.crds {
				t.Errorf("%d CustomResourceDefinitions were rendered, want %d", len(crds), test.crds)
			}
			for _, crd := range crds {
				if got := crd.GetAnnotations()["helm.sh/resource-policy"]; got != test.policy {
					t.Errorf("%s: helm.sh/resource-policy is %q, want %q", describe(crd), got, test.policy)
				}
			}
		})
	}
}
