// Run by the image of MongoDB when its volume is empty: the gateway's own user, with rights on its two databases and no others.
const password = fs.readFileSync("/run/secrets/mongo_password", "utf8").trim();
db.getSiblingDB("condagate").createUser({
  user: "condagate",
  pwd: password,
  roles: [
    { role: "readWrite", db: "condagate" },
    { role: "readWrite", db: "condagate_mq" },
  ],
});
