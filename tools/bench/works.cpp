#include <iterator>
#include <regex>

#include "core/error.h"
#include "core/nearest.h"
#include "core/random.h"
#include "ops/nn/init.h"
#include "ops/random.h"
#include "tools/bench/work.h"

namespace plait::bench {
namespace {

constexpr uint64_t kSalt = 0xFFFFFFFB;

std::vector<Family> families() {
  std::vector<Family> all = kernel_families();
  for (auto* more : {training_families, vision_families}) {
    std::vector<Family> families = more();
    std::move(families.begin(), families.end(), std::back_inserter(all));
  }
  all.push_back({"import", [](const auto&) {
                   Work work;
                   work.kind = WorkKind::import;
                   work.without["compile"] = "its import is torch's";
                   return work;
                 }});
  return all;
}

std::vector<std::string> names_in_order() {
  std::vector<std::string> names;
  for (const char* suffix : {"", "_ta", "_tb", "_bf16"}) {
    for (const char* sizes :
         {"64x64x64", "128x128x128", "256x256x256", "512x512x512", "1024x1024x1024",
          "2048x2048x2048", "513x511x509", "1x3072x768", "4x768x3072", "512x50257x768",
          "512x3072x768", "512x768x3072", "7x1000x13"}) {
      names.push_back(fmt::format("gemm_{}{}", sizes, suffix));
    }
  }
  for (const char* name : {"gemm_bias_gelu_512x3072x768",
                           "softmax_4096x1024",
                           "layernorm_8192x768",
                           "layernorm_fwdbwd_8192x768",
                           "bias_dropout_residual_ln_8192x768",
                           "bias_dropout_residual_ln_fwdbwd_8192x768",
                           "cross_entropy_fwdbwd_1024x50257",
                           "linear_cross_entropy_fwdbwd_1024x50257x768",
                           "adamw_50M",
                           "gelu_fwdbwd_16M",
                           "attention_fwd_L128",
                           "attention_fwdbwd_L128",
                           "attention_fwd_L512",
                           "attention_fwdbwd_L512",
                           "attention_fwd_L1024",
                           "attention_fwdbwd_L1024",
                           "attention_fwd_L2048",
                           "attention_fwdbwd_L2048",
                           "conv3x3_8x64x56x56",
                           "conv3x3_fwdbwd_8x64x56x56",
                           "mlp_mnist_step_b128",
                           "gpt_demo_step",
                           "gpt_6L384_step_8x256",
                           "gpt2_124M_step_2x256",
                           "gpt2_124M_step_2x256_bf16",
                           "resnet18_step_b8",
                           "compile_gpt2_124M",
                           "compile_gpt2_48L",
                           "dispatch_1000",
                           "import"}) {
    names.push_back(name);
  }
  return names;
}

}  // namespace

const std::vector<std::string>& listed_works() {
  static const std::vector<std::string> names = names_in_order();
  return names;
}

Work find_work(const std::string& name) {
  for (const Family& family : families()) {
    std::smatch match;
    if (!std::regex_match(name, match, std::regex(family.pattern))) continue;
    Work work = family.make({match.begin() + 1, match.end()});
    work.name = name;
    return work;
  }
  const std::vector<std::string_view> names(listed_works().begin(), listed_works().end());
  throw UserError(
      fmt::format("[bench] there is no work '{}'. hint: {}", name, nearest_names(name, names)));
}

Array normal(std::vector<int64_t> shape, int64_t seed, double scale, DType dtype) {
  manual_seed(seed);
  Array values = nn::init::normal(std::move(shape), 0, scale);
  if (dtype == DType::f32) return values;
  PLAIT_INTERNAL_CHECK(dtype == DType::bf16, "normal values as {}", dtype_name(dtype));
  Array rounded = Array::empty(dtype, values.shape);
  for (int64_t i = 0; i < values.count(); ++i) {
    rounded.data<uint16_t>()[i] = f32_to_bf16(values.data<float>()[i]);
  }
  return rounded;
}

Array integers(std::vector<int64_t> shape, int64_t seed, int64_t limit) {
  Array values = Array::empty(DType::i64, std::move(shape));
  for (int64_t i = 0; i < values.count(); ++i) {
    const uint64_t bits = random::element_bits(static_cast<uint64_t>(i), seed, 0, kSalt);
    values.data<int64_t>()[i] = static_cast<int64_t>((bits * static_cast<uint64_t>(limit)) >> 32);
  }
  return values;
}

}  // namespace plait::bench
