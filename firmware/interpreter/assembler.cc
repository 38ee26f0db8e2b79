// From the text of a .S file to instructions: comments, labels, .macro with arguments, operands.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "instructions.h"
#include "machine.h"

namespace xtensa {

void Fail(const std::string& message) {
  fflush(stdout);
  fprintf(stderr, "%s\n", message.c_str());
  exit(3);
}

namespace {

struct Line {
  int number;
  std::string text;
};

std::string Trim(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(Trim(part));
  return parts;
}

std::pair<std::string, std::string> FirstWord(const std::string& text) {
  const auto end = text.find_first_of(" \t");
  if (end == std::string::npos) return {text, ""};
  return {text.substr(0, end), Trim(text.substr(end))};
}

std::string Replaced(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

const Form* FindForm(const std::string& name) {
  static const std::map<std::string, Form> forms = [] {
    std::map<std::string, Form> made;
    for (const Form& form : ScalarForms()) made[form.name] = form;
    for (const Form& form : VectorForms()) made[form.name] = form;
    return made;
  }();
  const auto found = forms.find(name);
  return found == forms.end() ? nullptr : &found->second;
}

}  // namespace

class Assembler {
 public:
  Assembler(Program& program, const std::string& path) : program_(program), path_(path) {
    std::vector<Line> lines;
    Read(path, lines);
    Expand(lines);
    Resolve();
  }

 private:
  struct Macro {
    std::vector<std::string> parameters;
    std::vector<Line> body;
  };
  struct Reference {
    uint32_t instruction;
    std::string label;
  };

  [[noreturn]] void Wrong(int line, const std::string& what) {
    Fail(path_ + ":" + std::to_string(line) + ": " + what);
  }

  // Lines of an included file keep that file's numbers.
  void Read(const std::string& path, std::vector<Line>& lines) {
    static const std::string kInclude = "#include ";
    std::ifstream file(path);
    if (!file) Fail("cannot read " + path);
    int number = 0;
    for (std::string text; std::getline(file, text);) {
      ++number;
      if (text.compare(0, kInclude.size(), kInclude) == 0) {
        const std::string name = text.substr(kInclude.size() + 1);
        Read(path.substr(0, path.rfind('/') + 1) + name.substr(0, name.find('"')), lines);
      } else {
        lines.push_back({number, Clean(text)});
      }
    }
  }

  static std::string Clean(std::string text) {
    for (const char* mark : {"//", "#"}) text = text.substr(0, text.find(mark));
    return Trim(text);
  }

  void Expand(const std::vector<Line>& lines) {
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto [word, rest] = FirstWord(lines[i].text);
      if (word == ".macro") {
        auto [name, parameters] = FirstWord(rest);
        Macro& macro = macros_[name];
        macro = {Split(parameters, ','), {}};
        for (++i; i < lines.size() && lines[i].text != ".endm"; ++i) macro.body.push_back(lines[i]);
      } else if (const auto found = macros_.find(word); found != macros_.end()) {
        Expand(Filled(found->second, Split(rest, ','), lines[i].number));
      } else {
        Statement(lines[i].text, lines[i].number);
      }
    }
  }

  std::vector<Line> Filled(const Macro& macro, const std::vector<std::string>& arguments,
                           int number) {
    if (arguments.size() != macro.parameters.size()) Wrong(number, "a macro's arguments");
    std::vector<size_t> order(arguments.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    // Longer names first: \in must not eat the start of \input.
    std::sort(order.begin(), order.end(), [&](size_t x, size_t y) {
      return macro.parameters[x].size() > macro.parameters[y].size();
    });
    std::vector<Line> body = macro.body;
    for (Line& line : body) {
      for (size_t i : order) {
        line.text = Replaced(line.text, "\\" + macro.parameters[i], arguments[i]);
      }
    }
    return body;
  }

  void Statement(const std::string& text, int line) {
    if (text.empty()) return;
    const auto colon = text.find(':');
    if (colon != std::string::npos) {
      const std::string label = text.substr(0, colon);
      labels_[label].push_back(static_cast<uint32_t>(program_.code_.size()));
      Statement(Trim(text.substr(colon + 1)), line);
      return;
    }
    if (text[0] == '.') return;  // sections, alignment, symbols
    auto [name, operands] = FirstWord(text);
    const Form* form = FindForm(name);
    if (!form) Wrong(line, "unknown instruction " + text);
    program_.code_.push_back(Decoded(*form, Split(operands, ','), text, line));
  }

  Instruction Decoded(const Form& form, const std::vector<std::string>& operands,
                      const std::string& text, int line) {
    Instruction made;
    made.run = form.run;
    made.bytes = form.bytes;
    made.line = line;
    made.text = text;
    const std::string kinds = form.operands;
    if (operands.size() != kinds.size()) Wrong(line, "the number of operands: " + text);
    size_t registers = 0, numbers = 0;
    for (size_t i = 0; i < kinds.size(); ++i) {
      const std::string& operand = operands[i];
      if (kinds[i] == 'a' || kinds[i] == 'q') {
        const int number = Number(operand.substr(1), text, line);
        const bool known =
            operand[0] == kinds[i] && number >= 0 && number < (kinds[i] == 'a' ? 16 : 8);
        if (!known) Wrong(line, "not a register of this kind: " + operand + " in " + text);
        made.r[registers++] = static_cast<uint8_t>(number);
      } else if (kinds[i] == 't') {
        references_.push_back({static_cast<uint32_t>(program_.code_.size()), operand});
      } else {
        const int number = Number(operand, text, line);
        if (kinds[i] == 'i' && (number < form.low || number > form.high || number % form.step)) {
          Wrong(line, "the assembler refuses the number in " + text);
        }
        (numbers++ ? made.imm2 : made.imm) = number;
      }
    }
    return made;
  }

  // A sum of products, as in 16 * 3 + 4.
  int Number(const std::string& text, const std::string& whole, int line) {
    const char* at = text.c_str();
    long sum = 0;
    bool more = !text.empty();
    while (more) {
      char* end;
      long product = strtol(at, &end, 0);
      if (end == at) break;
      for (at = end; *at == ' ' || *at == '*'; at = end) {
        if (*at == ' ') {
          end = const_cast<char*>(at) + 1;
        } else {
          product *= strtol(at + 1, &end, 0);
        }
      }
      sum += product;
      more = *at == '+';
      if (more) ++at;
    }
    if (text.empty() || *at || more) Wrong(line, "not a number: " + text + " in " + whole);
    return static_cast<int>(sum);
  }

  void Resolve() {
    for (const Reference& reference : references_) {
      Instruction& from = program_.code_[reference.instruction];
      from.target = Target(reference, from);
      if (from.text.compare(0, 4, "loop") == 0) CheckLoop(reference.instruction, from);
    }
    for (const auto& [name, places] : labels_) {
      if (!isdigit(static_cast<unsigned char>(name[0]))) program_.functions_[name] = places.back();
    }
  }

  // 1f and 1b are the next and the last label 1.
  uint32_t Target(const Reference& reference, const Instruction& from) {
    const std::string& label = reference.label;
    const char direction = label.back();
    if (isdigit(static_cast<unsigned char>(label[0])) && (direction == 'f' || direction == 'b')) {
      const auto& places = labels_[label.substr(0, label.size() - 1)];
      const auto after = std::upper_bound(places.begin(), places.end(), reference.instruction);
      if (direction == 'f' && after != places.end()) return *after;
      if (direction == 'b' && after != places.begin()) return *(after - 1);
    } else if (const auto found = labels_.find(label); found != labels_.end()) {
      return found->second.back();
    }
    Wrong(from.line, "no label " + label);
  }

  // The hardware loop's end lies at most 256 bytes behind the instruction.
  void CheckLoop(uint32_t at, const Instruction& loop) {
    int bytes = 0;
    for (uint32_t i = at + 1; i < loop.target; ++i) bytes += program_.code_[i].bytes;
    if (loop.target <= at || bytes > 256) Wrong(loop.line, "the loop is too long");
  }

  Program& program_;
  std::string path_;
  std::map<std::string, Macro> macros_;
  std::map<std::string, std::vector<uint32_t>> labels_;
  std::vector<Reference> references_;
};

Program::Program(const std::string& path) : path_(path) { Assembler(*this, path); }

uint32_t Program::Call(Machine& m, const std::string& name,
                       const std::vector<uint32_t>& arguments) {
  alignas(16) static uint8_t stack[4096];
  const auto found = functions_.find(name);
  if (found == functions_.end()) Fail(path_ + ": no function " + name);
  // What a caller leaves behind is not the callee's to rely on.
  m.a.fill(0xdeadbeef);
  m.a[1] = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(stack + sizeof(stack)));
  for (size_t i = 0; i < arguments.size(); ++i) m.a[2 + i] = arguments[i];
  m.pc = found->second;
  m.returned = false;
  m.loop_count = 0;
  while (!m.returned) {
    const Instruction& instruction = code_.at(m.pc);
    ++m.instructions;
    const uint32_t next = m.pc + 1;
    m.pc = next;
    try {
      instruction.run(m, instruction);
    } catch (const std::string& what) {
      Fail(path_ + ":" + std::to_string(instruction.line) + ": " + instruction.text + ": " + what);
    }
    if (m.pc == m.loop_end && m.pc == next && m.loop_count) {
      --m.loop_count;
      m.pc = m.loop_begin;
    }
  }
  return m.a[2];
}

}  // namespace xtensa
