package contracttest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// serverFolder has all packages of the server.
const serverFolder = "../.."

// Every code that the server can answer with is documented, and every one that is documented can be answered.
func TestTheServersErrorCodesAreDocumented(t *testing.T) {
	documented, err := documentedValues(served(t), "ErrorCode")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{} // where each is
	err = fs.WalkDir(os.DirFS(serverFolder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(serverFolder, path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			for _, code := range codesIn(node) {
				found[code] = path
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if codes := slices.Sorted(maps.Keys(found)); !slices.Equal(codes, documented) {
		t.Errorf("the server answers with %q\nthe contract documents    %q\nfound in %v", codes, documented, found)
	}
}

// codesIn are the codes that a part of a program writes down: as the Code of a failure, as what a function of package failure is
// given for one, or as a constant that is called so.
func codesIn(node ast.Node) []string {
	var values []ast.Expr
	switch node := node.(type) {
	case *ast.KeyValueExpr:
		if key, is := node.Key.(*ast.Ident); is && key.Name == "Code" {
			values = []ast.Expr{node.Value}
		}
	case *ast.CallExpr:
		if function, is := node.Fun.(*ast.SelectorExpr); is {
			if room, is := function.X.(*ast.Ident); is && room.Name == "failure" && function.Sel.Name != "Invalid" &&
				function.Sel.Name != "Name" {
				values = node.Args
			}
		}
	case *ast.ValueSpec:
		if strings.HasPrefix(strings.ToLower(node.Names[0].Name), "code") {
			values = node.Values
		}
	}
	var codes []string
	for _, value := range values {
		literal, is := value.(*ast.BasicLit)
		if !is || literal.Kind != token.STRING {
			continue
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && isCode(text) {
			codes = append(codes, text)
		}
	}
	return codes
}

// isCode tells a code from a sentence.
func isCode(text string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}
