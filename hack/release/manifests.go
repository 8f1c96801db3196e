package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// packageChart packs the chart, which has the release's version and installs the image of that version.
func (r release) packageChart(ctx context.Context) error {
	_, err := output(ctx, r.root, []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.date.Unix(), 10)}, r.helm,
		"package", "charts/"+program, "--version", number(r.version), "--app-version", number(r.version), "--destination", r.out)
	if err != nil {
		return fmt.Errorf("package the chart: %w", err)
	}
	return os.Chtimes(filepath.Join(r.out, program+"-"+number(r.version)+".tgz"), r.date, r.date)
}

// installManifest is config/default with the image of a version. It works on a copy of config/ under work, since the folder that
// overlays it has to lie beside it.
func installManifest(root, work, version string) ([]byte, error) {
	config := filepath.Join(work, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(root, "config"))); err != nil {
		return nil, err
	}
	overlay := filepath.Join(config, "release")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		return nil, err
	}
	kustomization := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../default
images:
  - name: scrapethis/spider-operator
    newTag: %q
`, version)
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		return nil, err
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, fmt.Errorf("kustomize config/default: %w", err)
	}
	manifest, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize config/default: %w", err)
	}
	return manifest, nil
}
