package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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

// Every object is one that Kubernetes knows, with no field that it does not know.
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

// Every label value is one that Kubernetes accepts, and every object says what it belongs to.
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

// The operator's own Pods are admitted where the namespace enforces the restricted Pod Security Standard.
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

// With TLS, whatever reaches the API by the name of its port finds it, and the probes speak TLS.
func TestAPIServerWithTLS(t *testing.T) {
	objects := mustTemplate(t, "--set", "apiserver.tls.secretName=api-tls,apiserver.ingress.enabled=true,networkPolicy.enabled=true")
	for _, deployment := range deployments(t, objects) {
		if !strings.HasSuffix(deployment.Name, "-apiserver") {
			continue
		}
		pod := deployment.Spec.Template.Spec
		container := pod.Containers[0]
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
			if probe.HTTPGet.Scheme != corev1.URISchemeHTTPS || probe.HTTPGet.Port.StrVal != "https" {
				t.Errorf("a probe asks %+v", probe.HTTPGet)
			}
		}
		if len(pod.Volumes) != 1 || pod.Volumes[0].Secret == nil || pod.Volumes[0].Secret.SecretName != "api-tls" {
			t.Fatalf("volumes %+v", pod.Volumes)
		}
		mounted := container.VolumeMounts[0].MountPath
		for _, flag := range []string{"--tls-cert-file=" + mounted + "/tls.crt", "--tls-key-file=" + mounted + "/tls.key"} {
			if !slices.Contains(container.Args, flag) {
				t.Errorf("the arguments %v lack %s", container.Args, flag)
			}
		}
		if !slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool { return port.Name == "https" }) {
			t.Errorf("ports %v", container.Ports)
		}
	}
	for _, object := range ofKind(objects, "Service", "Ingress", "NetworkPolicy") {
		if text := string(toYAML(t, object)); strings.Contains(text, "http\n") {
			t.Errorf("%s still speaks of http:\n%s", describe(object), text)
		}
	}
}

// A certificate that cert-manager issues is written where the API reads it, and is for the names that it is reached by.
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
			t.Errorf("it is issued into %v, want %s", spec["secretName"], secret)
		}
		service := "spider-operator-apiserver"
		names := []any{service, service + "." + releaseNamespace, service + "." + releaseNamespace + ".svc", "spiders.example.org"}
		if diff := cmp.Diff(names, spec["dnsNames"]); diff != "" {
			t.Errorf("the names (-want +got):\n%s", diff)
		}
		for _, deployment := range deployments(t, objects) {
			if volumes := deployment.Spec.Template.Spec.Volumes; strings.HasSuffix(deployment.Name, "-apiserver") &&
				(len(volumes) != 1 || volumes[0].Secret.SecretName != secret) {
				t.Errorf("the API reads %+v, want the Secret %s", volumes, secret)
			}
		}
	}
}
