package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/private"
)

func dlqExport(program string) *cobra.Command {
	f := dlqFlags{any: true}
	var file, folder string
	check := func() error {
		switch {
		case (file == "") == (folder == ""):
			return errors.New("where to? give --file FILE (- for standard output) or --folder FOLDER")
		case file == "-":
			return nil
		}
		return toMake(cmp.Or(file, folder))
	}
	cmd := f.command(program, check, func(cmd *cobra.Command, t *letters.Tool) error {
		var n int64
		var err error
		switch {
		case file == "-":
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			if n, err = exportLines(cmd.Context(), t, f.which, f.limit, out); err == nil {
				err = out.Flush()
			}
		case file != "":
			n, err = exportFile(cmd.Context(), t, f.which, f.limit, file)
		default:
			n, err = exportFolder(cmd.Context(), t, f.which, f.limit, folder)
		}
		if err != nil {
			return err
		}
		if f.output == OutputJSON && file != "-" {
			return writeJSON(cmd.OutOrStdout(), map[string]any{"topic": f.topic, "exported": n, "into": cmp.Or(file, folder)})
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d letters are exported\n", n)
		return nil
	})
	cmd.Use, cmd.Short = "export", "Write letters whole into a file of JSON lines, or into a folder"
	cmd.Long = cmd.Short + ".\nA line has all that is needed to write the record again: key, value and headers, as text or in base64 where they are no UTF-8. A folder has for each\n" +
		"letter PARTITION/OFFSET.json and the bytes of the value in PARTITION/OFFSET.value. Open letters are exported and others too (\"open\" says which it is).\n" +
		"Neither may be there before; it is there when it is whole, and a command that was ended leaves nothing of that name."
	cmd.Example = example(program, "dlq export --brokers localhost:9092 --topic order.placed.v1.dlq --file letters.jsonl",
		"dlq export --brokers localhost:9092 --topic order.placed.v1.dlq --fingerprint 1f2e3d4c5b6a7988 --folder letters")
	f.choose(cmd, f.any)
	f.limited(cmd, 0, "the most letters to export; 0 for all")
	cmd.Flags().StringVar(&file, "file", "", "the file to make, or - for standard output")
	cmd.Flags().StringVar(&folder, "folder", "", "the folder to make")
	return cmd
}

// toMake refuses a path where something is, or that is in no folder.
func toMake(path string) error {
	if err := absent(path); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder, so nothing can be made in it", filepath.Dir(path))
	}
	return err
}

// absent refuses a path where something is.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%s is there already, and is not overwritten: give another name, or remove it", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

func exportLines(ctx context.Context, t *letters.Tool, s letters.Selection, limit int64, out io.Writer) (int64, error) {
	return t.Export(ctx, s, limit, func(e *letters.Exported, _ []byte) error {
		line, err := e.Line()
		if err != nil {
			return err
		}
		_, err = out.Write(line)
		return err
	})
}

// exportFile makes a file beside the path, and gives it its name when it is whole.
func exportFile(ctx context.Context, t *letters.Tool, s letters.Selection, limit int64, path string) (n int64, err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*") // for this user alone
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // it has another name by then
	out := bufio.NewWriterSize(temp, 1<<20)
	n, err = exportLines(ctx, t, s, limit, out)
	if err = errors.Join(err, out.Flush(), temp.Sync(), temp.Close()); err != nil {
		return n, err
	}
	if err := os.Link(temp.Name(), path); err == nil { // which fails where something has that name by now
		return n, nil
	}
	if err := absent(path); err != nil {
		return n, err
	}
	return n, os.Rename(temp.Name(), path) // a file system without links
}

// exportFolder makes a folder beside the path, and gives it its name when it is whole.
func exportFolder(ctx context.Context, t *letters.Tool, s letters.Selection, limit int64, path string) (n int64, err error) {
	temp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	n, err = t.Export(ctx, s, limit, func(e *letters.Exported, value []byte) error {
		at := filepath.Join(temp, strconv.Itoa(int(e.Partition)))
		if err := os.MkdirAll(at, 0o700); err != nil {
			return err
		}
		at = filepath.Join(at, strconv.FormatInt(e.Offset, 10))
		line, err := e.Line()
		if err == nil {
			err = writeNew(at+".json", line)
		}
		if err == nil && value != nil {
			err = writeNew(at+".value", value)
		}
		return err
	})
	if err != nil {
		return n, err
	}
	if err := absent(path); err != nil {
		return n, err
	}
	return n, os.Rename(temp, path)
}

func writeNew(path string, data []byte) error {
	file, err := private.Open(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
